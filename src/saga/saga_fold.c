/*
 * saga_fold.c
 *		What the events of a saga add up to: what each event changes.
 *
 * An event that does not fit, such as the time-out of a step that is over, changes
 * nothing.
 */
#include "postgres.h"

#include "saga/saga_state.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static void
set_text(SierraSagaState *state, SierraSagaField field, const char *value)
{
	sierra_saga_set(state, field, CStringGetTextDatum(value));
}

/* Sets a field from a member of an object, by the input function of its type. */
static void
set_member(SierraSagaState *state, SierraSagaField field, Jsonb *object, const char *key,
		   PGFunction input)
{
	text *value = sierra_jsonb_member_text(object, key);

	if (value == NULL)
		sierra_saga_set_null(state, field);
	else
		sierra_saga_set(state, field,
						DirectFunctionCall3(input, CStringGetDatum(text_to_cstring(value)),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
set_timeout(SierraSagaState *state, const char *key, SierraSagaField deadline,
			SierraSagaField timer, Jsonb *payload)
{
	Jsonb *timeout = sierra_jsonb_member(payload, key);

	set_member(state, deadline, timeout, "deadline", timestamptz_in);
	set_member(state, timer, timeout, "timer_id", uuid_in);
}

/* The error of a failed attempt. */
static void
set_last_error(SierraSagaState *state, Jsonb *payload)
{
	text *error = sierra_jsonb_member_text(payload, "error");
	text *sqlstate = sierra_jsonb_member_text(payload, "sqlstate");

	set_text(state, SAGA_LAST_ERROR,
			 psprintf("%s (%s)", error == NULL ? "" : text_to_cstring(error),
					  sqlstate == NULL ? "" : text_to_cstring(sqlstate)));
}

static void
merge_data(SierraSagaState *state, Jsonb *payload)
{
	Jsonb *data = sierra_jsonb_member(payload, "data");

	if (data != NULL)
		sierra_saga_set(
			state, SAGA_DATA,
			DirectFunctionCall2(jsonb_concat, state->values[SAGA_DATA], JsonbPGetDatum(data)));
}

/* The numbers of the steps that are done. */
static int
get_done(const SierraSagaState *state, Datum **steps)
{
	int count;

	deconstruct_array(DatumGetArrayTypeP(state->values[SAGA_DONE]), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, steps, NULL, &count);
	return count;
}

static void
set_done(SierraSagaState *state, Datum *steps, int count)
{
	sierra_saga_set(
		state, SAGA_DONE,
		PointerGetDatum(construct_array(steps, count, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
}

static void
add_done(SierraSagaState *state)
{
	Datum *before;
	int count = get_done(state, &before);
	Datum *steps = palloc(sizeof(Datum) * (count + 1));

	memcpy(steps, before, sizeof(Datum) * count);
	steps[count] = state->values[SAGA_STEP_NUMBER];
	set_done(state, steps, count + 1);
}

static void
remove_done(SierraSagaState *state)
{
	Datum *steps;
	int count = get_done(state, &steps);
	int kept = 0;

	for (int i = 0; i < count; i++)
	{
		if (DatumGetInt32(steps[i]) < DatumGetInt32(state->values[SAGA_STEP_NUMBER]))
			steps[kept++] = steps[i];
	}
	set_done(state, steps, kept);
}

/* Goes to the next step to compensate: the last one that is done and can be undone. */
static void
select_compensation(SierraSagaState *state)
{
	Datum *steps;
	int count = get_done(state, &steps);
	int last = 0;

	for (int i = 0; i < count; i++)
	{
		sierra_saga_set(state, SAGA_STEP_NUMBER, steps[i]);
		if (DatumGetInt32(steps[i]) > last &&
			sierra_jsonb_member_text(sierra_saga_step(state), "compensation") != NULL)
			last = DatumGetInt32(steps[i]);
	}
	if (last == 0)
		sierra_saga_set_null(state, SAGA_STEP_NUMBER);
	else
		sierra_saga_set(state, SAGA_STEP_NUMBER, Int32GetDatum(last));
	sierra_saga_set(state, SAGA_ATTEMPTS, Int32GetDatum(0));
	set_text(state, SAGA_STATUS, "compensating");
	state->values[SAGA_LAST_ERROR] = state->values[SAGA_ERROR];
	state->nulls[SAGA_LAST_ERROR] = state->nulls[SAGA_ERROR];
	sierra_saga_set(state, SAGA_RETRY_AT, state->values[SAGA_UPDATED_AT]);
}

static void
fail(SierraSagaState *state, const char *error)
{
	set_text(state, SAGA_ERROR, error);
	sierra_saga_set(state, SAGA_BEGUN, BoolGetDatum(false));
	select_compensation(state);
}

/* Is the event about the step of the state?  Also returns the name of that step. */
static bool
is_here(const SierraSagaState *state, const SierraSagaEvent *event, char **step)
{
	text *of_state = sierra_jsonb_member_text(sierra_saga_step(state), "step");
	text *of_event = sierra_jsonb_member_text(event->payload, "step");

	*step = of_state == NULL ? "" : text_to_cstring(of_state);
	return of_state != NULL && of_event != NULL && strcmp(*step, text_to_cstring(of_event)) == 0;
}

static char *
member_cstring(Jsonb *object, const char *key)
{
	text *value = sierra_jsonb_member_text(object, key);

	return value == NULL ? "" : text_to_cstring(value);
}

static void
end(SierraSagaState *state, const char *status)
{
	set_text(state, SAGA_STATUS, status);
	sierra_saga_set(state, SAGA_ENDED_AT, state->values[SAGA_UPDATED_AT]);
}

static void
complete_step(SierraSagaState *state, Jsonb *payload)
{
	if (sierra_saga_has_status(state, "running"))
		add_done(state);
	merge_data(state, payload);
	set_text(state, SAGA_STATUS, "running");
	sierra_saga_set(state, SAGA_STEP_NUMBER,
					Int32GetDatum(DatumGetInt32(state->values[SAGA_STEP_NUMBER]) + 1));
	sierra_saga_set(state, SAGA_ATTEMPTS, Int32GetDatum(0));
	sierra_saga_set_null(state, SAGA_LAST_ERROR);
	sierra_saga_set(state, SAGA_RETRY_AT, state->values[SAGA_UPDATED_AT]);
	set_timeout(state, "step_timeout", SAGA_STEP_DEADLINE, SAGA_STEP_TIMER, payload);
}

static void
start_waiting(SierraSagaState *state, Jsonb *payload)
{
	add_done(state);
	merge_data(state, payload);
	set_text(state, SAGA_STATUS, "waiting");
	sierra_saga_set_null(state, SAGA_LAST_ERROR);
}

/* An attempt at the step, or at its compensation, that is followed by another if it says when. */
static bool
note_attempt(SierraSagaState *state, Jsonb *payload)
{
	set_member(state, SAGA_ATTEMPTS, payload, "attempt", int4in);
	set_member(state, SAGA_RETRY_AT, payload, "retry_at", timestamptz_in);
	set_last_error(state, payload);
	return sierra_jsonb_member(payload, "retry_at") != NULL;
}

/* An event of a saga that runs or waits. */
static void
fold_forward(SierraSagaState *state, const SierraSagaEvent *event)
{
	const char *name = event->name;
	Jsonb *payload = event->payload;
	char *step;
	bool here = is_here(state, event, &step);

	if (strcmp(name, "SagaStepStarted") == 0 && here)
		start_waiting(state, payload);
	else if (strcmp(name, "SagaStepCompleted") == 0 && here)
		complete_step(state, payload);
	else if (strcmp(name, "SagaStepFailed") == 0 && here)
	{
		if (sierra_jsonb_member(payload, "retry_at") != NULL)
			(void) note_attempt(state, payload);
		else
			fail(state, psprintf("step \"%s\" failed: %s", step, member_cstring(payload, "error")));
	}
	else if (strcmp(name, "SagaStepTimedOut") == 0 && here)
		fail(state, psprintf("step \"%s\" timed out", step));
	else if (strcmp(name, "SagaTimedOut") == 0)
		fail(state, "the saga timed out");
	else if (strcmp(name, "SagaCancelled") == 0)
		fail(state, psprintf("cancelled: %s", member_cstring(payload, "reason")));
	else if (strcmp(name, "SagaRetried") == 0 && here)
		sierra_saga_set(state, SAGA_RETRY_AT, state->values[SAGA_UPDATED_AT]);
	else if (strcmp(name, "SagaCompleted") == 0)
		end(state, "completed");
}

/* An event of a saga that compensates. */
static void
fold_backward(SierraSagaState *state, const SierraSagaEvent *event)
{
	const char *name = event->name;
	char *step;
	bool here = is_here(state, event, &step);

	if (strcmp(name, "SagaCompensationStarted") == 0)
	{
		sierra_saga_set(state, SAGA_BEGUN, BoolGetDatum(true));
		sierra_saga_set_null(state, SAGA_STEP_TIMER);
		sierra_saga_set_null(state, SAGA_TIMER);
	}
	else if ((strcmp(name, "SagaStepCompensated") == 0 ||
			  strcmp(name, "SagaCompensationSkipped") == 0) &&
			 here)
	{
		merge_data(state, event->payload);
		remove_done(state);
		select_compensation(state);
	}
	else if (strcmp(name, "SagaCompensationFailed") == 0 && here)
		set_text(state, SAGA_STATUS,
				 note_attempt(state, event->payload) ? "compensating" : "stuck");
	else if (strcmp(name, "SagaRetried") == 0 && here)
	{
		set_text(state, SAGA_STATUS, "compensating");
		sierra_saga_set(state, SAGA_ATTEMPTS, Int32GetDatum(0));
		sierra_saga_set(state, SAGA_RETRY_AT, state->values[SAGA_UPDATED_AT]);
	}
	else if (strcmp(name, "SagaCompensated") == 0)
		end(state, "compensated");
}

static void
set_newest(SierraSagaState *state, const SierraSagaEvent *event)
{
	pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

	*id = event->id;
	sierra_saga_set(state, SAGA_STREAM_VERSION, Int64GetDatum(event->version));
	sierra_saga_set(state, SAGA_EVENT_ID, UUIDPGetDatum(id));
	sierra_saga_set(state, SAGA_UPDATED_AT, TimestampTzGetDatum(event->timestamp));
}

void
sierra_saga_state_begin(SierraSagaState *state, const SierraSagaEvent *event, text *correlation_id)
{
	Jsonb *data = sierra_jsonb_member(event->payload, "data");

	set_newest(state, event);
	set_text(state, SAGA_STATUS, "running");
	sierra_saga_set(state, SAGA_STEP_NUMBER, Int32GetDatum(1));
	sierra_saga_set(state, SAGA_ATTEMPTS, Int32GetDatum(0));
	if (data != NULL)
		sierra_saga_set(state, SAGA_DATA, JsonbPGetDatum(data));
	set_done(state, NULL, 0);
	sierra_saga_set(state, SAGA_RETRY_AT, state->values[SAGA_UPDATED_AT]);
	sierra_saga_set(state, SAGA_STARTED_AT, state->values[SAGA_UPDATED_AT]);
	if (correlation_id != NULL)
		sierra_saga_set(state, SAGA_CORRELATION, PointerGetDatum(correlation_id));
	set_timeout(state, "step_timeout", SAGA_STEP_DEADLINE, SAGA_STEP_TIMER, event->payload);
	set_timeout(state, "saga_timeout", SAGA_DEADLINE, SAGA_TIMER, event->payload);
}

void
sierra_saga_state_fold(SierraSagaState *state, const SierraSagaEvent *event)
{
	set_newest(state, event);
	if (sierra_saga_has_status(state, "running") || sierra_saga_has_status(state, "waiting"))
		fold_forward(state, event);
	else if (sierra_saga_has_status(state, "compensating") ||
			 sierra_saga_has_status(state, "stuck"))
		fold_backward(state, event);
}
