/*
 * saga_state.h
 *		What the events of a saga add up to.
 *
 * The same in C as type sierra_internal.saga_state in SQL.  Values are in the memory
 * of whoever made them.
 */
#ifndef SIERRA_SAGA_STATE_H
#define SIERRA_SAGA_STATE_H

#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* The attributes of the type, from 0. */
typedef enum SierraSagaField
{
	SAGA_ID,
	SAGA_NAME,
	SAGA_DEFINITION, /* its version */
	SAGA_STEPS,
	SAGA_SEARCH_PATH,
	SAGA_STATUS,
	SAGA_STEP_NUMBER,
	SAGA_ATTEMPTS,
	SAGA_DATA,
	SAGA_DONE,
	SAGA_BEGUN,
	SAGA_ERROR,
	SAGA_LAST_ERROR,
	SAGA_RETRY_AT,
	SAGA_STEP_DEADLINE,
	SAGA_STEP_TIMER,
	SAGA_DEADLINE,
	SAGA_TIMER,
	SAGA_CORRELATION,
	SAGA_STARTED_AT,
	SAGA_UPDATED_AT,
	SAGA_ENDED_AT,
	SAGA_STREAM_VERSION,
	SAGA_EVENT_ID,
	SAGA_FIELDS
} SierraSagaField;

typedef struct SierraSagaState
{
	Datum values[SAGA_FIELDS];
	bool nulls[SAGA_FIELDS];
} SierraSagaState;

/* An event of a saga, as far as it counts for the state. */
typedef struct SierraSagaEvent
{
	const char *name;
	Jsonb *payload;
	int64 version;
	pg_uuid_t id;
	TimestampTz timestamp;
} SierraSagaEvent;

/* A state with nothing but the id of the instance. */
extern void sierra_saga_state_init(SierraSagaState *state, text *saga_id);

/* The state as a value of the type in SQL, and back. */
extern Datum sierra_saga_state_form(const SierraSagaState *state);
extern void sierra_saga_state_deform(Datum value, SierraSagaState *state);

/* Takes the state one event further; the first one also says with what it is correlated. */
extern void sierra_saga_state_begin(SierraSagaState *state, const SierraSagaEvent *event,
									text *correlation_id);
extern void sierra_saga_state_fold(SierraSagaState *state, const SierraSagaEvent *event);

static inline void
sierra_saga_set(SierraSagaState *state, SierraSagaField field, Datum value)
{
	state->values[field] = value;
	state->nulls[field] = false;
}

static inline void
sierra_saga_set_null(SierraSagaState *state, SierraSagaField field)
{
	state->values[field] = (Datum) 0;
	state->nulls[field] = true;
}

extern bool sierra_saga_has_status(const SierraSagaState *state, const char *status);

/* The step to do or to undo, and the one after it, as in the definition; NULL if there is none. */
extern Jsonb *sierra_saga_step(const SierraSagaState *state);
extern Jsonb *sierra_saga_next_step(const SierraSagaState *state);

/* When the first of its time-outs ends; false if it has none. */
extern bool sierra_saga_deadline(const SierraSagaState *state, TimestampTz *deadline);

/* A member of an object: as jsonb, or as text; NULL if there is none, or for text if it is null. */
extern Jsonb *sierra_jsonb_member(Jsonb *object, const char *key);
extern text *sierra_jsonb_member_text(Jsonb *object, const char *key);

#endif /* SIERRA_SAGA_STATE_H */
