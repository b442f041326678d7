/*
 * decide_query.c
 *		Command handlers for the state of a query: load, decide, append with a condition.
 *
 * The condition makes a decision safe: the append succeeds only if there is no event that
 * the query matches and that was not in the state.  A reader of the store has to stop at the
 * horizon, which a long transaction holds back, even if it writes other events.  A decision
 * must not wait for it, or fail until it ends.  So it is made with all matching events that
 * are visible, and the condition knows which ones of them are above the horizon.
 */
#include "postgres.h"

#include "aggregate/decide.h"
#include "append/event_json.h"
#include "base/routing.h"
#include "read/locate.h"
#include "read/read_stream.h"
#include "store/early_release.h"
#include "store/scan.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* The events that an earlier command with this id appended. */
typedef struct Repetition
{
	SierraSink base;
	bool found; /* the event that was looked for last */
	pg_uuid_t transaction_id;
	int64 position;
	SierraDecision *decision;
} Repetition;

/* All events of one append have its transaction id, and one position after the other. */
static bool
add_event(SierraSink *base, TupleTableSlot *slot)
{
	Repetition *repetition = (Repetition *) base;
	SierraDecision *decision = repetition->decision;
	const pg_uuid_t *transaction_id = sierra_slot_uuid(slot, Anum_events_transaction_id);
	SierraNewEvent *event;

	if (decision->count == 0)
		repetition->transaction_id = *transaction_id;
	else if (!sierra_uuid_equal(transaction_id, &repetition->transaction_id))
		return false;
	decision->events =
		repalloc_huge(decision->events, sizeof(SierraNewEvent) * (decision->count + 1));
	event = &decision->events[decision->count++];
	*event = (SierraNewEvent){.stream_id = DatumGetTextPCopy(
								  PointerGetDatum(sierra_slot_text(slot, Anum_events_stream_id))),
							  .event_name = cstring_to_text("repeated"),
							  .expected = SIERRA_EXPECT_ANY,
							  .has_event_id = true,
							  .event_id = *sierra_slot_uuid(slot, Anum_events_event_id)};
	repetition->position = sierra_event_position(slot);
	repetition->found = true;
	return false;
}

/* The first event of the command is stored: finds the others. */
static void
find_others(const SierraStore *store, Repetition *repetition)
{
	while (repetition->found)
	{
		CHECK_FOR_INTERRUPTS();
		repetition->found = false;
		(void) sierra_locate(store, repetition->position + 1, &repetition->base);
	}
}

/*
 * If an event with the id of the command is stored: fills *decision with the events that
 * were appended with it, and returns true.
 */
static bool
find_repetition(const SierraStore *store, const SierraCommand *command, SierraDecision *decision)
{
	Repetition repetition = {.base = {add_event}, .decision = decision};

	decision->count = 0;
	if (!command->has_id)
		return false;
	decision->events = palloc(sizeof(SierraNewEvent));
	CommandCounterIncrement();
	sierra_push_new_snapshot();
	sierra_read_event(store, &command->id, &repetition.base);
	find_others(store, &repetition);
	PopActiveSnapshot();
	return decision->count > 0;
}

/* Loads the state of the query, and asks the function what to append. */
static void
decide_once(const SierraStore *store, const SierraQueryLoad *load, const SierraCommand *command,
			SierraDecision *decision, SierraCondition *condition)
{
	SierraQueryLoaded loaded;
	text *answer;
	text *given;

	/* The snapshot sees what is committed now, and what this transaction has done so far. */
	CommandCounterIncrement();
	sierra_push_new_snapshot();
	sierra_aggregate_load_query(store, load, true, &loaded);
	answer = sierra_decide_call(command, loaded.state, loaded.isnull);
	PopActiveSnapshot();

	decision->count = 0;
	if (answer == NULL)
		return;
	decision->events = sierra_event_json_read(answer, &decision->count, &given);
	if (given != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a command handler must not return a condition"),
				errdetail("The condition is that of the query which the decision was made with."),
				errhint("Return an array of events."));
	sierra_decide_complete(command, decision);
	*condition = (SierraCondition){.has_query = true,
								   .query = *load->query,
								   .after = loaded.position,
								   .seen = loaded.seen,
								   .seen_count = loaded.seen_count};
}

static SierraAppendStatus
try_once(const SierraQueryLoad *load, const SierraCommand *command, SierraDecision *decision,
		 SierraRefusal *refusal)
{
	const SierraStore *store = sierra_store_open(ACL_SELECT);
	SierraCondition condition = {0};

	if (find_repetition(store, command, decision))
		return sierra_decide_append(decision, NULL, refusal);
	decide_once(store, load, command, decision, &condition);
	return sierra_decide_append(decision, &condition, refusal);
}

static bool
is_overtaken(SierraAppendStatus status)
{
	return status == SIERRA_APPEND_WRONG_VERSION || status == SIERRA_APPEND_CONDITION_FAILED;
}

SierraAppendStatus
sierra_decide_query(const SierraQueryLoad *load, const SierraCommand *command,
					SierraDecision *decision, SierraRefusal *refusal)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es decision", ALLOCSET_DEFAULT_SIZES);
	SierraAppendStatus status = SIERRA_APPEND_DONE;
	MemoryContext old = CurrentMemoryContext;

	for (int attempt = 0; attempt <= command->retries; attempt++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		status = try_once(load, command, decision, refusal);
		MemoryContextSwitchTo(old);
		if (!is_overtaken(status))
			break;
	}
	if (is_overtaken(status) || status == SIERRA_APPEND_DUPLICATE_EVENT)
	{
		/* It may have been the same command, in another session. */
		MemoryContextSwitchTo(context);
		if (find_repetition(sierra_store_open(ACL_SELECT), command, decision))
			status = sierra_decide_append(decision, NULL, refusal);
		MemoryContextSwitchTo(old);
	}
	return status;
}
