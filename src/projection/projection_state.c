/*
 * projection_state.c
 *		States of projections: which keys a batch has, loading and saving.
 *
 * The states of a batch are loaded and saved together.  One statement reads the
 * states of all keys.  One updates the rows that exist, by their ctids; one
 * inserts the rows of new states; one deletes the rows of states that became
 * null.  Nobody else runs the projection meanwhile.  If a row was moved
 * nevertheless, it is found by its key.
 */
#include "postgres.h"

#include "base/text.h"
#include "projection/projection_state.h"
#include "store/query.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"

/*
 * The plan is kept, and a plan that was made for few states would be slow when
 * there are many.  Because of OFFSET 0 the planner can only choose one index
 * scan for each key.
 */
static const SierraQuery states_query = {
	"SELECT l.key, l.state, l.ctid FROM pg_catalog.unnest($3) AS k (key) CROSS JOIN LATERAL"
	" (SELECT s.key, s.state, s.ctid FROM %1$s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) k.key OFFSET 0) AS l ORDER BY l.key",
	3,
	{TEXTOID, INT4OID, TEXTARRAYOID}};

/*
 * Compared by functions, since operators would let the planner use the index
 * instead of the ctid.
 */
static const SierraQuery update_query = {
	"UPDATE %1$s.projection_states AS s"
	" SET state = v.state, position = v.position, stream_version = v.stream_version"
	" FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5),"
	" pg_catalog.unnest($6)) AS v (tid, state, position, stream_version)"
	" WHERE s.ctid OPERATOR(pg_catalog.=) v.tid AND pg_catalog.texteq(s.projection, $1)"
	" AND pg_catalog.int4eq(s.version, $2)",
	6,
	{TEXTOID, INT4OID, TIDARRAYOID, JSONBARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

static const SierraQuery insert_query = {
	"INSERT INTO %1$s.projection_states (projection, version, key, state, position, stream_version)"
	" SELECT $1, $2, v.key, v.state, v.position, v.stream_version"
	" FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5),"
	" pg_catalog.unnest($6)) AS v (key, state, position, stream_version)"
	" ON CONFLICT (projection, version, key) DO UPDATE SET state = excluded.state,"
	" position = excluded.position, stream_version = excluded.stream_version",
	6,
	{TEXTOID, INT4OID, TEXTARRAYOID, JSONBARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

static const SierraQuery delete_query = {
	"DELETE FROM %1$s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) ANY ($3)",
	3,
	{TEXTOID, INT4OID, TEXTARRAYOID}};

static const SierraQuery lock_state_query = {
	"SELECT s.state FROM %1$s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3 FOR NO KEY UPDATE",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static const SierraQuery change_state_query = {
	"UPDATE %1$s.projection_states AS s SET state = $4, position = $5, stream_version = $6"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3",
	6,
	{TEXTOID, INT4OID, TEXTOID, JSONBOID, INT8OID, INT8OID}};

static const SierraQuery end_state_query = {
	"DELETE FROM %1$s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static const SierraQuery first_state_query = {
	"INSERT INTO %1$s.projection_states (projection, version, key, state, position, stream_version)"
	" VALUES ($1, $2, $3, $4, -1, NULL) ON CONFLICT DO NOTHING",
	4,
	{TEXTOID, INT4OID, TEXTOID, JSONBOID}};

static int
compare_events(const void *a, const void *b)
{
	const SierraKeyedEvent *left = a;
	const SierraKeyedEvent *right = b;
	int order = sierra_text_compare(left->key, right->key);

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

/* Finds the distinct keys.  Their states are loaded later. */
static void
begin_states(SierraStates *states)
{
	int count = states->nevents;

	states->count = 0;
	states->keys = palloc(sizeof(Datum) * count);
	states->tids = palloc0(sizeof(Datum) * count);
	states->values = palloc(sizeof(Datum) * count);
	states->nulls = palloc(sizeof(bool) * count);
	states->positions = palloc(sizeof(Datum) * count);
	states->versions = palloc(sizeof(Datum) * count);
	for (int i = 0; i < count; i++)
	{
		if (i == 0 || sierra_text_compare(states->events[i - 1].key, states->events[i].key) != 0)
			states->keys[states->count++] = PointerGetDatum(states->events[i].key);
		states->events[i].state = states->count - 1;
	}
}

static Datum
text_array(Datum *values, int count)
{
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Fills in the stored states; the others get the initial state.  Rows are sorted by key. */
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
		if (row < rows &&
			sierra_text_compare(sierra_query_text(row, 1), DatumGetTextPP(states->keys[i])) == 0)
		{
			states->tids[i] =
				datumCopy(sierra_query_required(row, 3, TIDOID), false, sizeof(ItemPointerData));
			states->values[i] = sierra_query_value(row++, 2, JSONBOID, &states->nulls[i]);
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

/* Some of the states of a batch, as arguments of a statement. */
typedef struct Part
{
	int count;
	Datum *where; /* keys or tids */
	Datum *values;
	Datum *positions;
	Datum *versions;
} Part;

static Part
begin_part(int count)
{
	Part part = {.where = palloc(sizeof(Datum) * count),
				 .values = palloc(sizeof(Datum) * count),
				 .positions = palloc(sizeof(Datum) * count),
				 .versions = palloc(sizeof(Datum) * count)};

	return part;
}

static void
add_to_part(Part *part, Datum where, const SierraStates *states, int i)
{
	part->where[part->count] = where;
	part->values[part->count] = states->values[i];
	part->positions[part->count] = states->positions[i];
	part->versions[part->count] = states->versions[i];
	part->count++;
}

static Datum
int8_array(Datum *values, int count)
{
	return PointerGetDatum(
		construct_array(values, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Runs a statement for a part; returns how many rows it changed. */
static uint64
write_part(const SierraProjection *projection, const SierraQuery *query, const Part *part,
		   Datum where)
{
	Datum values[6] = {PointerGetDatum(projection->name),
					   Int32GetDatum(projection->version),
					   where,
					   PointerGetDatum(construct_array(part->values, part->count, JSONBOID, -1,
													   false, TYPALIGN_INT)),
					   int8_array(part->positions, part->count),
					   int8_array(part->versions, part->count)};
	uint64 rows;

	if (part->count == 0)
		return 0;
	sierra_query_begin();
	rows = sierra_query(projection->store, query, values, NULL, false);
	sierra_query_end();
	return rows;
}

/* Writes states by their keys: those that were stored, or those that were not. */
static void
insert_states(const SierraProjection *projection, const SierraStates *states, bool stored)
{
	Part part = begin_part(states->count);

	for (int i = 0; i < states->count; i++)
	{
		if (!states->nulls[i] && (states->tids[i] != 0) == stored)
			add_to_part(&part, states->keys[i], states, i);
	}
	(void) write_part(projection, &insert_query, &part, text_array(part.where, part.count));
}

static void
update_states(const SierraProjection *projection, const SierraStates *states)
{
	Part part = begin_part(states->count);
	Datum where;

	for (int i = 0; i < states->count; i++)
	{
		if (!states->nulls[i] && states->tids[i] != 0)
			add_to_part(&part, states->tids[i], states, i);
	}
	where = PointerGetDatum(construct_array(part.where, part.count, TIDOID, sizeof(ItemPointerData),
											false, TYPALIGN_SHORT));
	if (write_part(projection, &update_query, &part, where) < part.count)
		insert_states(projection, states, true);
}

static void
delete_states(const SierraProjection *projection, const SierraStates *states)
{
	Datum *gone = palloc(sizeof(Datum) * states->count);
	int count = 0;
	Datum values[3] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version)};

	for (int i = 0; i < states->count; i++)
	{
		if (states->nulls[i])
			gone[count++] = states->keys[i];
	}
	if (count == 0)
		return;
	values[2] = text_array(gone, count);
	sierra_query_begin();
	sierra_query(projection->store, &delete_query, values, NULL, false);
	sierra_query_end();
}

void
sierra_states_save(const SierraProjection *projection, const SierraStates *states)
{
	update_states(projection, states);
	insert_states(projection, states, false);
	delete_states(projection, states);
}

/*
 * How often a state is begun that others end at the same time.  It is more than can
 * happen, unless something keeps the row from being stored.
 */
#define BEGINNINGS_MAX 100

static void
report_not_stored(const SierraProjection *projection)
{
	ereport(
		ERROR, errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
		errmsg("a state of projection \"%s\" was not stored", text_to_cstring(projection->name)),
		errdetail("A trigger, rule or policy of table %s.projection_states suppressed it.",
				  NameStr(projection->store->name)),
		errhint("Let the trigger raise an error instead."));
}

/*
 * A state that does not exist yet is inserted first, so that two transactions
 * that begin the same state wait for each other.
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

	for (int i = 0; sierra_query(projection->store, &lock_state_query, values, NULL, false) == 0;
		 i++)
	{
		if (i == BEGINNINGS_MAX)
			report_not_stored(projection);
		sierra_query(projection->store, &first_state_query, values, nulls, false);
	}
	state = sierra_query_value(0, 1, JSONBOID, isnull);
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
