/*
 * project.c
 *		Gives events to the handler of a projection, and keeps its states.
 *
 * A fold works on a batch as a whole: one statement reads the states of all
 * keys, one writes those that are there now.  In between the events are sorted
 * by key, so that one state at a time is folded through all of its events.
 */
#include "postgres.h"

#include "event.h"
#include "fold.h"
#include "project.h"
#include "query.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

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
	"SELECT s.key, s.state FROM %s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3 FOR NO KEY UPDATE",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static const SierraQuery first_state_query = {
	"INSERT INTO %s.projection_states (projection, version, key, state, position, stream_version)"
	" VALUES ($1, $2, $3, $4, -1, NULL) ON CONFLICT DO NOTHING",
	4,
	{TEXTOID, INT4OID, TEXTOID, JSONBOID}};

void
sierra_batch_read(SierraBatch *batch, const SierraProjection *projection, Tuplestorestate *rows,
				  int max_count)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(projection->desc, &TTSOpsMinimalTuple);

	batch->count = 0;
	batch->events = palloc(sizeof(Datum) * max_count);
	batch->positions = palloc(sizeof(int64) * max_count);
	batch->versions = palloc(sizeof(int64) * max_count);
	batch->streams = palloc(sizeof(text *) * max_count);
	while (batch->count < max_count && tuplestore_gettupleslot(rows, true, false, slot))
	{
		int i = batch->count++;
		HeapTuple tuple;

		slot_getallattrs(slot);
		tuple = heap_form_tuple(projection->desc, slot->tts_values, slot->tts_isnull);
		batch->events[i] = HeapTupleHeaderGetDatum(tuple->t_data);
		batch->positions[i] = DatumGetInt64(slot->tts_values[0]);
		batch->streams[i] = DatumGetTextPCopy(slot->tts_values[3]);
		batch->versions[i] = DatumGetInt64(slot->tts_values[4]);
	}
	ExecDropSingleTupleTableSlot(slot);
}

void
sierra_batch_single(SierraBatch *batch, const SierraProjection *projection, Datum *values,
					bool *nulls)
{
	batch->count = 1;
	batch->events = palloc(sizeof(Datum));
	batch->positions = palloc(sizeof(int64));
	batch->versions = palloc(sizeof(int64));
	batch->streams = palloc(sizeof(text *));
	batch->events[0] =
		HeapTupleHeaderGetDatum(heap_form_tuple(projection->desc, values, nulls)->t_data);
	batch->positions[0] = DatumGetInt64(values[0]);
	batch->streams[0] = DatumGetTextPCopy(values[3]);
	batch->versions[0] = DatumGetInt64(values[4]);
}

static ArrayType *
make_event_array(const SierraProjection *projection, const SierraBatch *batch, int from, int to)
{
	return construct_array(batch->events + from, to - from, projection->event_type, -1, false,
						   TYPALIGN_DOUBLE);
}

/* Asks the owner's expression for the keys; one row for each event, in their order. */
static void
evaluate_keys(const SierraProjection *projection, ArrayType *events, int count, text **keys,
			  MemoryContext context)
{
	Oid type = get_array_type(projection->event_type);
	Datum value = PointerGetDatum(events);
	char *sql =
		psprintf("SELECT (%s)::pg_catalog.text FROM pg_catalog.unnest($1) AS e", projection->key);
	SPIPlanPtr plan = SPI_prepare(sql, 1, &type);
	MemoryContext spi;

	if (plan == NULL || SPI_execute_plan(plan, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	if (SPI_processed != count)
		ereport(ERROR, errcode(ERRCODE_CARDINALITY_VIOLATION),
				errmsg("the key of projection \"%s\" is not one value for each event",
					   text_to_cstring(projection->name)),
				errdetail("It is %s.", projection->key));
	spi = MemoryContextSwitchTo(context);
	for (int i = 0; i < count; i++)
	{
		bool isnull;
		Datum key = sierra_query_value(i, 1, &isnull);

		keys[i] = isnull ? NULL : DatumGetTextPCopy(key);
	}
	MemoryContextSwitchTo(spi);
}

text **
sierra_project_keys(const SierraProjection *projection, const SierraBatch *batch, int from, int to)
{
	text **keys;
	ArrayType *events;
	MemoryContext context;

	if (projection->key == NULL)
		return batch->streams + from;
	keys = palloc(sizeof(text *) * (to - from));
	events = make_event_array(projection, batch, from, to);
	context = sierra_query_begin();
	evaluate_keys(projection, events, to - from, keys, context);
	sierra_query_end();
	return keys;
}

/* One event of a batch that is being folded. */
typedef struct KeyedEvent
{
	text *key;
	int place;
} KeyedEvent;

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
	const KeyedEvent *left = a;
	const KeyedEvent *right = b;
	int order = compare_keys(left->key, right->key);

	return order != 0 ? order : left->place - right->place;
}

static int
sort_by_key(text **keys, int from, int to, KeyedEvent *sorted)
{
	int count = 0;

	for (int i = from; i < to; i++)
	{
		if (keys[i - from] != NULL)
			sorted[count++] = (KeyedEvent){keys[i - from], i};
	}
	qsort(sorted, count, sizeof(KeyedEvent), compare_events);
	return count;
}

/* The states of a batch: by distinct key, in the order of keys. */
typedef struct States
{
	int count;
	Datum *keys;
	Datum *values; /* jsonb */
	bool *nulls;
	Datum *positions;
	Datum *versions;
} States;

static void
add_key(States *states, const KeyedEvent *event)
{
	if (states->count > 0 &&
		compare_keys(DatumGetTextPP(states->keys[states->count - 1]), event->key) == 0)
		return;
	states->keys[states->count++] = PointerGetDatum(event->key);
}

static Datum
text_array(Datum *values, int count)
{
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Fills in the states that are stored; the others begin anew.  Rows come by key. */
static void
load_states(const SierraProjection *projection, States *states, MemoryContext context)
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

static ArrayType *
make_array(Datum *values, bool *nulls, int count, Oid type, int16 length, bool by_value, char align)
{
	int lower = 1;

	return construct_md_array(values, nulls, 1, &count, &lower, type, length, by_value, align);
}

static void
save_states(const SierraProjection *projection, States *states)
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
	if (ngone < count)
		sierra_query(projection->store, &save_query, values, NULL, false);
	if (ngone > 0)
	{
		values[2] = text_array(gone, ngone);
		sierra_query(projection->store, &forget_query, values, NULL, false);
	}
}

/* Folds each state through its events. */
static void
fold_states(const SierraProjection *projection, const SierraBatch *batch, const KeyedEvent *sorted,
			int count, States *states)
{
	SierraFold fold;
	int next = 0;

	sierra_fold_begin(&fold, projection->handler, projection->event_type, (Datum) 0, true,
					  DT_NOEND);
	for (int i = 0; i < states->count; i++)
	{
		sierra_fold_restart(&fold, states->values[i], states->nulls[i]);
		for (; next < count && compare_keys(sorted[next].key, DatumGetTextPP(states->keys[i])) == 0;
			 next++)
		{
			int place = sorted[next].place;

			CHECK_FOR_INTERRUPTS();
			sierra_fold_event(&fold, batch->events[place]);
			states->positions[i] = Int64GetDatum(batch->positions[place]);
			states->versions[i] = Int64GetDatum(batch->versions[place]);
		}
		states->nulls[i] = fold.isnull;
		states->values[i] =
			fold.isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(fold.state));
	}
}

static void
begin_states(States *states, const KeyedEvent *sorted, int count)
{
	states->count = 0;
	states->keys = palloc(sizeof(Datum) * count);
	states->values = palloc(sizeof(Datum) * count);
	states->nulls = palloc(sizeof(bool) * count);
	states->positions = palloc(sizeof(Datum) * count);
	states->versions = palloc(sizeof(Datum) * count);
	for (int i = 0; i < count; i++)
		add_key(states, &sorted[i]);
}

static void
fold_batch(const SierraProjection *projection, const SierraBatch *batch, int from, int to)
{
	text **keys = sierra_project_keys(projection, batch, from, to);
	KeyedEvent *sorted = palloc(sizeof(KeyedEvent) * (to - from));
	int count = sort_by_key(keys, from, to, sorted);
	States states;

	if (count == 0)
		return;
	begin_states(&states, sorted, count);
	load_states(projection, &states, sierra_query_begin());
	sierra_query_end();
	fold_states(projection, batch, sorted, count, &states);
	sierra_query_begin();
	save_states(projection, &states);
	sierra_query_end();
}

/*
 * Makes the state of a key this transaction's own.  A state that is not there
 * yet is put there, so that two who begin the same one wait for each other.
 */
static void
lock_state(const SierraProjection *projection, Datum key)
{
	Datum values[4] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version), key,
					   projection->initial};
	bool nulls[4] = {false, false, false, projection->initial_null};

	sierra_query_begin();
	while (sierra_query(projection->store, &lock_state_query, values, NULL, false) == 0)
		sierra_query(projection->store, &first_state_query, values, nulls, false);
	sierra_query_end();
}

static void
call_handler(FmgrInfo *handler, Datum argument)
{
	LOCAL_FCINFO(fcinfo, 1);

	InitFunctionCallInfoData(*fcinfo, handler, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = argument;
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
}

static void
handle_events(const SierraProjection *projection, const SierraBatch *batch, int from, int to)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es handler", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	FmgrInfo handler;

	fmgr_info(projection->handler, &handler);
	old = MemoryContextSwitchTo(context);
	for (int i = from; i < to; i++)
	{
		CHECK_FOR_INTERRUPTS();
		call_handler(&handler, batch->events[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
sierra_project(const SierraProjection *projection, const SierraBatch *batch, int from, int to)
{
	FmgrInfo handler;

	switch (projection->kind)
	{
		case SIERRA_HANDLES_EVENT:
			handle_events(projection, batch, from, to);
			break;
		case SIERRA_HANDLES_BATCH:
			fmgr_info(projection->handler, &handler);
			call_handler(&handler, PointerGetDatum(make_event_array(projection, batch, from, to)));
			break;
		case SIERRA_FOLDS:
			fold_batch(projection, batch, from, to);
			break;
	}
}

void
sierra_project_shared(const SierraProjection *projection, const SierraBatch *batch)
{
	text *key;

	if (projection->kind == SIERRA_FOLDS)
	{
		key = *sierra_project_keys(projection, batch, 0, 1);
		if (key == NULL)
			return;
		lock_state(projection, PointerGetDatum(key));
	}
	sierra_project(projection, batch, 0, 1);
}
