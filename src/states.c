/*
 * states.c
 *		States of projections: which keys a batch has, loading and saving.
 *
 * A batch is loaded and saved as a whole: one statement reads the states of all
 * of its keys, one writes those that are there now.
 */
#include "postgres.h"

#include "query.h"
#include "states.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

/*
 * OFFSET 0 keeps the planner from anything but one look into the index for each
 * key: a plan made for few states would read all of them when there are many.
 */
static const SierraQuery states_query = {
	"SELECT l.key, l.state FROM pg_catalog.unnest($3) AS k (key) CROSS JOIN LATERAL"
	" (SELECT s.key, s.state FROM %s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) k.key OFFSET 0) AS l ORDER BY l.key",
	3,
	{TEXTOID, INT4OID, TEXTARRAYOID}};

static const SierraQuery save_query = {
	"INSERT INTO %s.projection_states (projection, version, key, state, position, stream_version)"
	" SELECT $1, $2, v.key, v.state, v.position, v.stream_version"
	" FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5),"
	" pg_catalog.unnest($6)) AS v (key, state, position, stream_version)"
	" WHERE v.state IS NOT NULL"
	" ON CONFLICT (projection, version, key) DO UPDATE SET state = excluded.state,"
	" position = excluded.position, stream_version = excluded.stream_version",
	6,
	{TEXTOID, INT4OID, TEXTARRAYOID, JSONBARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

static const SierraQuery forget_query = {
	"DELETE FROM %s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) ANY ($3)",
	3,
	{TEXTOID, INT4OID, TEXTARRAYOID}};

static const SierraQuery lock_state_query = {
	"SELECT s.state FROM %s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3 FOR NO KEY UPDATE",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static const SierraQuery change_state_query = {
	"UPDATE %s.projection_states AS s SET state = $4, position = $5, stream_version = $6"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3",
	6,
	{TEXTOID, INT4OID, TEXTOID, JSONBOID, INT8OID, INT8OID}};

static const SierraQuery end_state_query = {
	"DELETE FROM %s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static const SierraQuery first_state_query = {
	"INSERT INTO %s.projection_states (projection, version, key, state, position, stream_version)"
	" VALUES ($1, $2, $3, $4, -1, NULL) ON CONFLICT DO NOTHING",
	4,
	{TEXTOID, INT4OID, TEXTOID, JSONBOID}};

/* As the collation "C" orders keys. */
static int
compare_keys(const text *a, const text *b)
{
	int left = VARSIZE_ANY_EXHDR(a);
	int right = VARSIZE_ANY_EXHDR(b);
	int order = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(left, right));

	return order != 0 ? order : left - right;
}

static int
compare_events(const void *a, const void *b)
{
	const SierraKeyedEvent *left = a;
	const SierraKeyedEvent *right = b;
	int order = compare_keys(left->key, right->key);

	return order != 0 ? order : left->place - right->place;
}

static int
sort_by_key(text **keys, int count, SierraKeyedEvent *sorted)
{
	int found = 0;

	for (int i = 0; i < count; i++)
	{
		if (keys[i] != NULL)
			sorted[found++] = (SierraKeyedEvent){keys[i], i, 0};
	}
	qsort(sorted, found, sizeof(SierraKeyedEvent), compare_events);
	return found;
}

/* Finds the distinct keys; their states are still to be loaded. */
static void
begin_states(SierraStates *states)
{
	int count = states->nevents;

	states->count = 0;
	states->keys = palloc(sizeof(Datum) * count);
	states->values = palloc(sizeof(Datum) * count);
	states->nulls = palloc(sizeof(bool) * count);
	states->positions = palloc(sizeof(Datum) * count);
	states->versions = palloc(sizeof(Datum) * count);
	for (int i = 0; i < count; i++)
	{
		if (i == 0 || compare_keys(states->events[i - 1].key, states->events[i].key) != 0)
			states->keys[states->count++] = PointerGetDatum(states->events[i].key);
		states->events[i].state = states->count - 1;
	}
}

static Datum
text_array(Datum *values, int count)
{
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Fills in the states that are stored; the others begin anew.  Rows come by key. */
static void
load_states(const SierraProjection *projection, SierraStates *states, MemoryContext context)
{
	Datum values[3] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version),
					   text_array(states->keys, states->count)};
	uint64 rows = sierra_query(projection->store, &states_query, values, NULL, false);
	uint64 row = 0;
	MemoryContext spi = MemoryContextSwitchTo(context);

	for (int i = 0; i < states->count; i++)
	{
		bool isnull;

		if (row < rows && compare_keys(DatumGetTextPP(sierra_query_value(row, 1, &isnull)),
									   DatumGetTextPP(states->keys[i])) == 0)
		{
			states->values[i] = sierra_query_value(row++, 2, &states->nulls[i]);
			if (!states->nulls[i])
				states->values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(states->values[i]));
		}
		else
		{
			states->values[i] = projection->initial;
			states->nulls[i] = projection->initial_null;
		}
	}
	MemoryContextSwitchTo(spi);
}

bool
sierra_states_load(SierraStates *states, const SierraProjection *projection, text **keys, int count)
{
	states->events = palloc(sizeof(SierraKeyedEvent) * count);
	states->nevents = sort_by_key(keys, count, states->events);
	if (states->nevents == 0)
		return false;
	begin_states(states);
	load_states(projection, states, sierra_query_begin());
	sierra_query_end();
	return true;
}

static ArrayType *
make_array(Datum *values, bool *nulls, int count, Oid type, int16 length, bool by_value, char align)
{
	int lower = 1;

	return construct_md_array(values, nulls, 1, &count, &lower, type, length, by_value, align);
}

void
sierra_states_save(const SierraProjection *projection, SierraStates *states)
{
	int count = states->count;
	Datum *gone = palloc(sizeof(Datum) * count);
	int ngone = 0;
	Datum values[6] = {
		PointerGetDatum(projection->name),
		Int32GetDatum(projection->version),
		text_array(states->keys, count),
		PointerGetDatum(
			make_array(states->values, states->nulls, count, JSONBOID, -1, false, TYPALIGN_INT)),
		PointerGetDatum(make_array(states->positions, NULL, count, INT8OID, sizeof(int64),
								   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
		PointerGetDatum(make_array(states->versions, NULL, count, INT8OID, sizeof(int64),
								   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE))};

	for (int i = 0; i < count; i++)
	{
		if (states->nulls[i])
			gone[ngone++] = states->keys[i];
	}
	sierra_query_begin();
	if (ngone < count)
		sierra_query(projection->store, &save_query, values, NULL, false);
	if (ngone > 0)
	{
		values[2] = text_array(gone, ngone);
		sierra_query(projection->store, &forget_query, values, NULL, false);
	}
	sierra_query_end();
}

/*
 * A state that is not there yet is put there, so that two who begin the same one
 * wait for each other.
 */
Datum
sierra_state_lock(const SierraProjection *projection, Datum key, bool *isnull)
{
	Datum values[4] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version), key,
					   projection->initial};
	bool nulls[4] = {false, false, false, projection->initial_null};
	MemoryContext context = sierra_query_begin();
	MemoryContext spi;
	Datum state;

	while (sierra_query(projection->store, &lock_state_query, values, NULL, false) == 0)
		sierra_query(projection->store, &first_state_query, values, nulls, false);
	state = sierra_query_value(0, 1, isnull);
	spi = MemoryContextSwitchTo(context);
	if (!*isnull)
		state = PointerGetDatum(PG_DETOAST_DATUM_COPY(state));
	MemoryContextSwitchTo(spi);
	sierra_query_end();
	return state;
}

void
sierra_state_save(const SierraProjection *projection, const SierraState *state)
{
	Datum values[6] = {PointerGetDatum(projection->name),
					   Int32GetDatum(projection->version),
					   state->key,
					   state->value,
					   Int64GetDatum(state->position),
					   Int64GetDatum(state->version)};

	sierra_query_begin();
	sierra_query(projection->store, state->isnull ? &end_state_query : &change_state_query, values,
				 NULL, false);
	sierra_query_end();
}
