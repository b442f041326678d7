/*
 * decide.c
 *		Command handlers: load a state, decide, append with the version loaded.
 *
 * The version makes a decision safe: the append succeeds only if the stream is
 * still as it was when the state was loaded.  No lock is held before the
 * append, so nobody waits while the user's function runs.
 *
 * A refused append has written nothing and has released its locks, so another
 * attempt needs no savepoint.  The function must not write either, because it
 * can be called several times: it is called as in a read-only transaction.
 *
 * The id of a command is that of the first event that follows from it.  So a repetition
 * is found before the function is called: what it would say now does not matter.
 */
#include "postgres.h"

#include "aggregate/decide.h"
#include "append/append.h"
#include "append/event_json.h"
#include "append/tag_locks.h"
#include "base/errors.h"
#include "base/json_convert.h"
#include "base/json_slice.h"
#include "base/routing.h"
#include "read/read_stream.h"
#include "store/early_release.h"
#include "store/scan.h"
#include "store/user_function.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"

void
sierra_decide_check_function(Oid function)
{
	Oid arguments[2] = {JSONBOID, JSONBOID};

	if (!sierra_function_fits(function, 2, arguments, JSONOID) &&
		!sierra_function_fits(function, 2, arguments, JSONBOID))
		ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				errmsg("function %s is not a command handler", format_procedure(function)),
				errhint("A command handler takes (state jsonb, command jsonb) and returns json or "
						"jsonb: an array of events."));
	sierra_function_check_execute(function);
}

static bool
is_nothing(const text *answer)
{
	SierraJsonReader reader = sierra_json_begin(answer);

	return sierra_slice_is(sierra_json_read(&reader), "null");
}

text *
sierra_decide_call(const SierraCommand *command, Datum state, bool isnull)
{
	bool read_only = XactReadOnly;
	FmgrInfo function;
	LOCAL_FCINFO(fcinfo, 2);
	Datum result;
	text *answer;

	fmgr_info(command->decide, &function);
	if (isnull && function.fn_strict)
		return NULL;
	InitFunctionCallInfoData(*fcinfo, &function, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = state;
	fcinfo->args[0].isnull = isnull;
	fcinfo->args[1].value = command->command;
	fcinfo->args[1].isnull = false;
	/* If the function fails, the end of the (sub)transaction resets this. */
	XactReadOnly = true;
	result = FunctionCallInvoke(fcinfo);
	XactReadOnly = read_only;
	if (fcinfo->isnull)
		return NULL;
	answer = get_func_rettype(command->decide) == JSONBOID ? sierra_json_of_jsonb(result)
														   : DatumGetTextPP(result);
	return is_nothing(answer) ? NULL : answer;
}

/*
 * The store is opened to append only now, in the mode that the events need: it is not known
 * before how many tags they have.
 */
SierraAppendStatus
sierra_decide_append(SierraDecision *decision, const SierraCondition *condition,
					 SierraRefusal *refusal)
{
	bool alone = sierra_tag_locks_call_needs_store(decision->events, decision->count, condition);
	SierraStore *store = alone ? sierra_store_open_alone() : sierra_store_open(ACL_INSERT);

	if (decision->count == 0)
		return SIERRA_APPEND_DONE;
	decision->results =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraAppendResult) * decision->count);
	return sierra_append(store, NULL, decision->events, decision->count, condition,
						 decision->results, refusal);
}

/* The events that an earlier command with this id appended. */
typedef struct Repetition
{
	SierraSink base;
	text *stream_id;
	bool found;			 /* an event with the id of the command is stored ... */
	bool in_this_stream; /* ... and here */
	pg_uuid_t transaction_id;
	int64 version;
	SierraNewEvent *events;
	int count;
} Repetition;

static bool
note_stored(SierraSink *base, TupleTableSlot *slot)
{
	Repetition *repetition = (Repetition *) base;

	repetition->found = true;
	repetition->in_this_stream =
		sierra_slot_text_equal(slot, Anum_events_stream_id, repetition->stream_id);
	repetition->version = sierra_slot_int8(slot, Anum_events_stream_version);
	repetition->transaction_id = *sierra_slot_uuid(slot, Anum_events_transaction_id);
	return false;
}

static void
add_event(Repetition *repetition, const pg_uuid_t *event_id)
{
	int64 before = repetition->version + repetition->count - 1;
	SierraNewEvent *event;

	if (repetition->count == 0)
		repetition->events = palloc(sizeof(SierraNewEvent));
	else
		repetition->events =
			repalloc_huge(repetition->events, sizeof(SierraNewEvent) * (repetition->count + 1));
	event = &repetition->events[repetition->count++];
	*event = (SierraNewEvent){.stream_id = repetition->stream_id,
							  .event_name = cstring_to_text("repeated"),
							  .expected = before == SIERRA_NONE ? SIERRA_EXPECT_EMPTY : before,
							  .has_event_id = true,
							  .event_id = *event_id};
}

/* All events of one append have its transaction id. */
static bool
add_stored(SierraSink *base, TupleTableSlot *slot)
{
	Repetition *repetition = (Repetition *) base;

	CHECK_FOR_INTERRUPTS();
	if (!sierra_uuid_equal(sierra_slot_uuid(slot, Anum_events_transaction_id),
						   &repetition->transaction_id))
		return false;
	add_event(repetition, sierra_slot_uuid(slot, Anum_events_event_id));
	return true;
}

/* The event with the id of the command is stored, but not where its stream is looked for. */
static void
report_lost(const SierraLoad *load, const SierraCommand *command)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("stream \"%s\" of the event store is damaged", text_to_cstring(load->stream_id)),
			errdetail("Event %s is stored, but is not found in its stream.",
					  sierra_uuid_text(&command->id)),
			errhint("Restore the store from a dump; everify() shows what is wrong."));
}

/*
 * If an event with the id of the command is stored: fills *decision with what was appended
 * with it, and returns true.  The events are appended again, which only finds them, and
 * refuses an id of another stream and events that are hidden from the user.
 */
static bool
find_repetition(const SierraStore *store, const SierraLoad *load, const SierraCommand *command,
				SierraDecision *decision, SierraAppendStatus *status, SierraRefusal *refusal)
{
	Repetition repetition = {.base = {note_stored}, .stream_id = load->stream_id};
	SierraRange range = {0, PG_INT64_MAX, false};

	if (!command->has_id)
		return false;
	CommandCounterIncrement();
	sierra_push_new_snapshot();
	sierra_read_event(store, &command->id, &repetition.base);
	if (repetition.in_this_stream)
	{
		repetition.base.put = add_stored;
		range.from = repetition.version;
		sierra_read_stream(store, load->stream_id, range, &repetition.base);
	}
	else
		add_event(&repetition, &command->id);
	PopActiveSnapshot();
	if (!repetition.found)
		return false;
	if (repetition.count == 0)
		report_lost(load, command);

	decision->events = repetition.events;
	decision->count = repetition.count;
	*status = sierra_decide_append(decision, NULL, refusal);
	if (*status == SIERRA_APPEND_DONE)
		report_lost(load, command);
	return true;
}

/* The first event has the id of the command. */
static void
give_id(const SierraCommand *command, SierraNewEvent *event)
{
	if (event->has_event_id && !sierra_uuid_equal(&event->event_id, &command->id))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("the first event of a command with an id has that id"),
				errdetail("The id of the command is %s, and the command handler gives its first "
						  "event the id %s.",
						  sierra_uuid_text(&command->id), sierra_uuid_text(&event->event_id)),
				errhint("Leave event_id out of the first event."));
	event->has_event_id = true;
	event->event_id = command->id;
}

void
sierra_decide_complete(const SierraCommand *command, SierraDecision *decision)
{
	if (command->has_id && decision->count > 0)
		give_id(command, &decision->events[0]);
	for (int i = 0; i < decision->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (decision->events[i].metadata == NULL)
			decision->events[i].metadata = command->metadata;
		sierra_event_check(&decision->events[i]);
	}
}

/* Loads the newest state and asks the function what to append to it. */
static void
decide_once(const SierraStore *store, const SierraLoad *load, const SierraCommand *command,
			SierraDecision *decision)
{
	SierraLoaded loaded;
	text *answer;

	/* The snapshot sees what is committed now, and what this transaction has done so far. */
	CommandCounterIncrement();
	sierra_push_new_snapshot();
	sierra_aggregate_load(store, load, &loaded);
	answer = sierra_decide_call(command, loaded.state, loaded.isnull);
	PopActiveSnapshot();

	decision->count = 0;
	if (answer == NULL)
		return;
	decision->events = sierra_event_json_read_of_stream(answer, load->stream_id, &decision->count);
	for (int i = 0; i < decision->count; i++)
	{
		int64 version = loaded.version + i;

		decision->events[i].expected = version == SIERRA_NONE ? SIERRA_EXPECT_EMPTY : version;
	}
	sierra_decide_complete(command, decision);
}

SierraAppendStatus
sierra_decide(const SierraStore *store, const SierraLoad *load, const SierraCommand *command,
			  SierraDecision *decision, SierraRefusal *refusal)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es decision", ALLOCSET_DEFAULT_SIZES);
	SierraAppendStatus status = SIERRA_APPEND_DONE;
	MemoryContext old;

	for (int attempt = 0; attempt <= command->retries; attempt++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		old = MemoryContextSwitchTo(context);
		if (find_repetition(store, load, command, decision, &status, refusal))
		{
			MemoryContextSwitchTo(old);
			return status;
		}
		decide_once(store, load, command, decision);
		status = sierra_decide_append(decision, NULL, refusal);
		MemoryContextSwitchTo(old);
		if (status != SIERRA_APPEND_WRONG_VERSION)
			break;
	}
	if (status == SIERRA_APPEND_WRONG_VERSION || status == SIERRA_APPEND_DUPLICATE_EVENT)
	{
		/* It may have been the same command, in another session. */
		old = MemoryContextSwitchTo(context);
		(void) find_repetition(store, load, command, decision, &status, refusal);
		MemoryContextSwitchTo(old);
	}
	return status;
}
