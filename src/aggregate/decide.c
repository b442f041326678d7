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
 */
#include "postgres.h"

#include "aggregate/decide.h"
#include "append/append.h"
#include "append/event_json.h"
#include "base/json_slice.h"
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

/* Calls the function; NULL means that there is nothing to append. */
static text *
call_function(const SierraCommand *command, const SierraLoaded *loaded)
{
	bool read_only = XactReadOnly;
	FmgrInfo function;
	LOCAL_FCINFO(fcinfo, 2);
	Datum result;

	fmgr_info(command->decide, &function);
	if (loaded->isnull && function.fn_strict)
		return NULL;
	InitFunctionCallInfoData(*fcinfo, &function, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = loaded->state;
	fcinfo->args[0].isnull = loaded->isnull;
	fcinfo->args[1].value = command->command;
	fcinfo->args[1].isnull = false;
	/* If the function fails, the end of the (sub)transaction resets this. */
	XactReadOnly = true;
	result = FunctionCallInvoke(fcinfo);
	XactReadOnly = read_only;
	if (fcinfo->isnull)
		return NULL;
	if (get_func_rettype(command->decide) == JSONBOID)
	{
		Jsonb *value = DatumGetJsonbP(result);

		return cstring_to_text(JsonbToCString(NULL, &value->root, VARSIZE(value)));
	}
	return DatumGetTextPP(result);
}

static bool
is_nothing(const text *answer)
{
	SierraJsonReader reader;

	if (answer == NULL)
		return true;
	reader = sierra_json_begin(answer);
	return sierra_slice_is(sierra_json_read(&reader), "null");
}

/* Loads the newest state and asks the function what to append to it. */
static void
decide_once(const SierraStore *store, const SierraCommand *command, SierraDecision *decision)
{
	SierraLoaded loaded;
	text *answer;

	/* The snapshot sees what is committed now, and what this transaction has done so far. */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	sierra_aggregate_load(store, &command->load, &loaded);
	answer = call_function(command, &loaded);
	PopActiveSnapshot();

	decision->count = 0;
	if (is_nothing(answer))
		return;
	decision->events =
		sierra_event_json_read_of_stream(answer, command->load.stream_id, &decision->count);
	for (int i = 0; i < decision->count; i++)
	{
		SierraNewEvent *event = &decision->events[i];
		int64 version = loaded.version + i;

		CHECK_FOR_INTERRUPTS();
		event->expected = version == SIERRA_NONE ? SIERRA_EXPECT_EMPTY : version;
		if (event->metadata == NULL)
			event->metadata = command->metadata;
		sierra_event_check(event);
	}
}

SierraAppendStatus
sierra_decide(const SierraStore *store, const SierraCommand *command, SierraDecision *decision,
			  SierraRefusal *refusal)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es decision", ALLOCSET_DEFAULT_SIZES);
	SierraAppendStatus status = SIERRA_APPEND_DONE;

	for (int attempt = 0; attempt <= command->retries; attempt++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		decide_once(store, command, decision);
		/*
		 * The result of the attempt before does not matter if there is nothing
		 * to append now.
		 */
		status = SIERRA_APPEND_DONE;
		if (decision->count > 0)
		{
			decision->results = palloc(sizeof(SierraAppendResult) * decision->count);
			status = sierra_append(store, NULL, decision->events, decision->count,
								   decision->results, refusal);
		}
		MemoryContextSwitchTo(old);
		if (status != SIERRA_APPEND_WRONG_VERSION)
			break;
	}
	return status;
}
