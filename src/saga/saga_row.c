/*
 * saga_row.c
 *		The row of a saga: when to run it, and what to show.
 */
#include "postgres.h"

#include "saga/saga_step.h"
#include "store/query.h"
#include "wakeup/doorbell.h"

#include "catalog/pg_type.h"

/* In both statements: saga_id, status, step, attempts, run_at, deadline, last_error, updated_at,
 * ended_at. */
#define COMMON_ARGS 9
#define ALL_ARGS 13

static const SierraQuery update_query = {
	"UPDATE %1$s.saga_instances AS i SET status = $2, step = $3, attempts = $4, interruptions = 0,"
	" run_at = $5, deadline = $6, last_error = $7, updated_at = $8, ended_at = $9"
	" WHERE i.saga_id OPERATOR(pg_catalog.=) $1",
	COMMON_ARGS,
	{TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID,
	 TIMESTAMPTZOID}};

static const SierraQuery insert_query = {
	"INSERT INTO %1$s.saga_instances (saga_id, status, step, attempts, run_at, deadline,"
	" last_error, updated_at, ended_at, saga, version, correlation_id, started_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
	ALL_ARGS,
	{TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID,
	 TIMESTAMPTZOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID}};

typedef struct Row
{
	Datum values[ALL_ARGS];
	bool nulls[ALL_ARGS];
	int count;
} Row;

static void
add(Row *row, Datum value, bool isnull)
{
	row->values[row->count] = value;
	row->nulls[row->count++] = isnull;
}

static void
add_field(Row *row, const SierraSagaState *state, SierraSagaField field)
{
	add(row, state->values[field], state->nulls[field]);
}

/* When the saga is to be run again; false if only an event from outside continues it. */
static bool
next_run(const SierraSagaState *state, bool has_deadline, TimestampTz deadline, TimestampTz *run_at)
{
	bool retries = !state->nulls[SAGA_RETRY_AT];

	*run_at = DatumGetTimestampTz(state->values[SAGA_RETRY_AT]);
	if (sierra_saga_has_status(state, "compensating"))
		return retries;
	if (has_deadline &&
		(sierra_saga_has_status(state, "waiting") || !retries || deadline < *run_at))
		*run_at = deadline;
	return has_deadline || (retries && sierra_saga_has_status(state, "running"));
}

void
sierra_saga_write_row(const SierraStore *store, const SierraSagaState *state)
{
	bool ended = !state->nulls[SAGA_ENDED_AT];
	text *step = ended ? NULL : sierra_jsonb_member_text(sierra_saga_step(state), "step");
	TimestampTz deadline = 0;
	TimestampTz run_at;
	bool has_deadline =
		(sierra_saga_has_status(state, "running") || sierra_saga_has_status(state, "waiting")) &&
		sierra_saga_deadline(state, &deadline);
	bool runs = next_run(state, has_deadline, deadline, &run_at);
	Row row = {.count = 0};

	add_field(&row, state, SAGA_ID);
	add_field(&row, state, SAGA_STATUS);
	add(&row, PointerGetDatum(step), step == NULL);
	add_field(&row, state, SAGA_ATTEMPTS);
	add(&row, TimestampTzGetDatum(run_at), !runs);
	add(&row, TimestampTzGetDatum(deadline), !has_deadline);
	add_field(&row, state, SAGA_LAST_ERROR);
	add_field(&row, state, SAGA_UPDATED_AT);
	add_field(&row, state, SAGA_ENDED_AT);
	add_field(&row, state, SAGA_NAME);
	add_field(&row, state, SAGA_DEFINITION);
	add_field(&row, state, SAGA_CORRELATION);
	add_field(&row, state, SAGA_STARTED_AT);
	sierra_query_begin();
	if (sierra_query(store, &update_query, row.values, row.nulls, false) == 0)
		(void) sierra_query(store, &insert_query, row.values, row.nulls, false);
	sierra_query_end();
	if (runs)
		sierra_doorbell_note_job(store);
}
