/*
 * saga_step.c
 *		Takes a saga one step forward: calls an action, and records the result.
 */
#include "postgres.h"

#include "append/append.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/json_convert.h"
#include "base/routing.h"
#include "base/subtransaction.h"
#include "base/transient.h"
#include "saga/saga_action.h"
#include "saga/saga_step.h"
#include "store/early_release.h"
#include "store/extension.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"

/* Pushes a member of an object that is built. */
static void
push_member(JsonbParseState **object, const char *key, JsonbValue *value)
{
	JsonbValue name = {.type = jbvString};

	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	(void) pushJsonbValue(object, WJB_KEY, &name);
	(void) pushJsonbValue(object, WJB_VALUE, value);
}

static void
push_text(JsonbParseState **object, const char *key, const text *string)
{
	JsonbValue value = {.type = jbvNull};

	if (string != NULL)
	{
		value.type = jbvString;
		value.val.string.val = VARDATA_ANY(string);
		value.val.string.len = VARSIZE_ANY_EXHDR(string);
	}
	push_member(object, key, &value);
}

static void
push_int(JsonbParseState **object, const char *key, int64 number)
{
	JsonbValue value = {.type = jbvNumeric};

	value.val.numeric = int64_to_numeric(number);
	push_member(object, key, &value);
}

/* An object, or an empty one for NULL. */
static void
push_object(JsonbParseState **object, const char *key, Jsonb *member)
{
	JsonbValue value = {.type = jbvBinary};

	if (member == NULL)
	{
		JsonbParseState *state = NULL;

		(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		member = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	}
	value.val.binary.data = &member->root;
	value.val.binary.len = VARSIZE_ANY_EXHDR(member);
	push_member(object, key, &value);
}

/* What events of the saga, and of its actions, say about where they come from. */
static text *
form_metadata(const SierraSagaState *state)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"correlation_id\" : ");
	if (state->nulls[SAGA_CORRELATION])
		appendStringInfoString(&json, "null");
	else
		escape_json(&json, TextDatumGetCString(state->values[SAGA_CORRELATION]));
	appendStringInfo(&json, ", \"causation_id\" : \"%s\"}",
					 sierra_uuid_text(DatumGetUUIDP(state->values[SAGA_EVENT_ID])));
	return cstring_to_text_with_len(json.data, json.len);
}

void
sierra_saga_append(SierraSagaState *state, const char *event_name, Jsonb *payload,
				   const pg_uuid_t *id)
{
	SierraNewEvent event = {.stream_id = DatumGetTextPP(state->values[SAGA_ID]),
							.event_name = cstring_to_text(event_name),
							.expected = DatumGetInt64(state->values[SAGA_STREAM_VERSION]),
							.has_event_id = id != NULL,
							.metadata = form_metadata(state),
							.payload = sierra_json_of_jsonb(JsonbPGetDatum(payload))};
	SierraSagaEvent appended = {.name = event_name, .payload = payload};
	SierraAppendResult result;
	SierraRefusal refusal;

	if (id != NULL)
		event.event_id = *id;
	sierra_event_check(&event);
	CommandCounterIncrement();
	sierra_refusal_report(
		sierra_append(sierra_store_open(ACL_INSERT), NULL, &event, 1, NULL, &result, &refusal),
		&refusal);
	appended.version = result.stream_version;
	appended.id = event.event_id;
	appended.timestamp = event.timestamp;
	sierra_saga_state_fold(state, &appended);
}

/* Calls a function in sierra_internal; false if its result is null. */
static bool
call_sql(const char *name, int nargs, const Oid *types, const NullableDatum *args, Datum *result)
{
	LOCAL_FCINFO(fcinfo, 5);
	FmgrInfo info;

	Assert(nargs <= 5);
	fmgr_info(sierra_extension_function(name, nargs, types), &info);
	InitFunctionCallInfoData(*fcinfo, &info, nargs, InvalidOid, NULL, NULL);
	memcpy(fcinfo->args, args, sizeof(NullableDatum) * nargs);
	*result = FunctionCallInvoke(fcinfo);
	return !fcinfo->isnull;
}

static void
cancel_timers(const SierraSagaState *state, bool all)
{
	Oid types[] = {sierra_extension_type("saga_state"), BOOLOID};
	NullableDatum args[] = {{sierra_saga_state_form(state), false}, {BoolGetDatum(all), false}};
	Datum nothing;

	if (!state->nulls[SAGA_STEP_TIMER] || (all && !state->nulls[SAGA_TIMER]))
		(void) call_sql("cancel_saga_timers", lengthof(types), types, args, &nothing);
}

/* A member that create_saga() gives to every step; the owner of the store can have removed it. */
static char *
required_member(Jsonb *step, const char *key)
{
	text *value = sierra_jsonb_member_text(step, key);

	if (value == NULL)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("the definition of a saga is damaged"),
				errdetail("A step in table \"sagas\" has no member \"%s\".", key),
				errhint("Correct the row, or define the saga again with create_saga()."));
	return text_to_cstring(value);
}

/* Schedules the time-out of a step; NULL if it has none. */
static Jsonb *
schedule_timeout(const SierraSagaState *state, Jsonb *step)
{
	static const Oid types[] = {TEXTOID, TEXTOID, JSONOID, TEXTOID, INTERVALOID};
	text *timeout = sierra_jsonb_member_text(step, "timeout");
	StringInfoData payload;
	Datum result;

	if (timeout == NULL)
		return NULL;
	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"step\" : ");
	escape_json(&payload, required_member(step, "step"));
	appendStringInfoChar(&payload, '}');
	{
		NullableDatum args[] = {
			{state->values[SAGA_ID], false},
			{CStringGetTextDatum("SagaStepTimedOut"), false},
			{CStringGetTextDatum(payload.data), false},
			{state->values[SAGA_CORRELATION], state->nulls[SAGA_CORRELATION]},
			{DirectFunctionCall3(interval_in, CStringGetDatum(text_to_cstring(timeout)),
								 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)),
			 false}};

		if (!call_sql("schedule_saga_timeout", lengthof(types), types, args, &result))
			return NULL;
	}
	return DatumGetJsonbP(result);
}

/* Begins the payload of an event about the step. */
static void
begin_payload(JsonbParseState **object, const SierraSagaState *state, Jsonb *answer)
{
	(void) pushJsonbValue(object, WJB_BEGIN_OBJECT, NULL);
	push_text(object, "step", sierra_jsonb_member_text(sierra_saga_step(state), "step"));
	push_int(object, "attempt", (int64) DatumGetInt32(state->values[SAGA_ATTEMPTS]) + 1);
	push_object(object, "data", answer);
}

static Jsonb *
end_payload(JsonbParseState **object)
{
	return JsonbValueToJsonb(pushJsonbValue(object, WJB_END_OBJECT, NULL));
}

void
sierra_saga_complete(SierraSagaState *state)
{
	JsonbParseState *object = NULL;

	(void) pushJsonbValue(&object, WJB_BEGIN_OBJECT, NULL);
	push_object(&object, "data", DatumGetJsonbP(state->values[SAGA_DATA]));
	sierra_saga_append(state, "SagaCompleted", end_payload(&object), NULL);
}

void
sierra_saga_complete_step(SierraSagaState *state, Jsonb *answer)
{
	Jsonb *next = sierra_saga_next_step(state);
	JsonbParseState *object = NULL;
	Jsonb *timeout;

	cancel_timers(state, next == NULL);
	timeout = schedule_timeout(state, next);
	begin_payload(&object, state, answer);
	if (timeout != NULL)
		push_object(&object, "step_timeout", timeout);
	sierra_saga_append(state, "SagaStepCompleted", end_payload(&object), NULL);
	if (next == NULL)
		sierra_saga_complete(state);
}

bool
sierra_saga_has_action(const SierraSagaState *state)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline;

	if (!sierra_saga_has_status(state, "running") || sierra_saga_step(state) == NULL)
		return false;
	if (sierra_saga_deadline(state, &deadline) && deadline <= now)
		return false;
	return !state->nulls[SAGA_RETRY_AT] && DatumGetTimestampTz(state->values[SAGA_RETRY_AT]) <= now;
}

/* Calls the action, and records that the step is done or waits. */
static void
do_step(SierraSagaState *state, Jsonb *step)
{
	SierraSagaCall call = {.procedure = required_member(step, "action"),
						   .data = DatumGetJsonbP(state->values[SAGA_DATA]),
						   .saga_id = DatumGetTextPP(state->values[SAGA_ID]),
						   .search_path = TextDatumGetCString(state->values[SAGA_SEARCH_PATH]),
						   .metadata = text_to_cstring(form_metadata(state))};
	text *waits = sierra_jsonb_member_text(step, "waits");
	JsonbParseState *object = NULL;
	Jsonb *answer;

	CommandCounterIncrement();
	sierra_push_new_snapshot();
	answer = sierra_saga_call(&call);
	PopActiveSnapshot();
	if (waits == NULL || strcmp(text_to_cstring(waits), "true") != 0)
	{
		sierra_saga_complete_step(state, answer);
		return;
	}
	begin_payload(&object, state, answer);
	sierra_saga_append(state, "SagaStepStarted", end_payload(&object), NULL);
}

typedef struct Step
{
	SierraSagaState *state;
	Jsonb *step;
} Step;

static void
do_step_of(void *arg)
{
	Step *step = arg;

	do_step(step->state, step->step);
}

/* The same in a subtransaction; returns the error, or NULL. */
static ErrorData *
try_step(SierraSagaState *state, Jsonb *step)
{
	SierraSagaState before = *state;
	Step doing = {state, step};
	ErrorData *error = sierra_subtransaction(do_step_of, &doing, true);

	if (error != NULL)
		*state = before;
	return error;
}

/* Records a failed attempt; fail_saga_action() decides what comes next. */
static void
note_failure(const SierraStore *store, SierraSagaState *state, const ErrorData *error)
{
	Oid types[] = {NAMEOID, sierra_extension_type("saga_state"), TEXTOID, TEXTOID};
	NullableDatum args[] = {
		{NameGetDatum(&store->name), false},
		{sierra_saga_state_form(state), false},
		{CStringGetTextDatum(error->message == NULL ? "" : error->message), false},
		{CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)), false}};
	Datum result;

	if (call_sql("fail_saga_action", lengthof(types), types, args, &result))
		sierra_saga_state_deform(result, state);
}

void
sierra_saga_run_action(const SierraStore *store, SierraSagaState *state)
{
	ErrorData *error = try_step(state, sierra_saga_step(state));

	if (error == NULL)
		return;
	/* A call that is cancelled has not failed. */
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || sierra_error_is_transient(error->sqlerrcode))
		ReThrowError(error);
	note_failure(store, state, error);
}
