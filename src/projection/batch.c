/*
 * batch.c
 *		Events on their way to the handler of a projection, and their keys.
 */
#include "postgres.h"

#include "projection/batch.h"
#include "store/event.h"
#include "store/query.h"

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
#include "utils/plancache.h"
#include "utils/tuplestore.h"

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

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		tuple = heap_form_tuple(projection->desc, slot->tts_values, slot->tts_isnull);
		batch->events[i] = HeapTupleHeaderGetDatum(tuple->t_data);
		batch->positions[i] = DatumGetInt64(slot->tts_values[SIERRA_EVENT_POSITION]);
		batch->streams[i] = DatumGetTextPCopy(slot->tts_values[SIERRA_EVENT_STREAM]);
		batch->versions[i] = DatumGetInt64(slot->tts_values[SIERRA_EVENT_VERSION]);
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
	batch->positions[0] = DatumGetInt64(values[SIERRA_EVENT_POSITION]);
	batch->streams[0] = DatumGetTextPCopy(values[SIERRA_EVENT_STREAM]);
	batch->versions[0] = DatumGetInt64(values[SIERRA_EVENT_VERSION]);
}

/* Makes the event in context; what upcasters allocate is in the current one. */
static Datum
upcast_event(const SierraProjection *projection, Datum event, MemoryContext context)
{
	MemoryContext scratch = CurrentMemoryContext;
	HeapTupleHeader header = DatumGetHeapTupleHeader(event);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	HeapTuple upcast;
	Datum values[Natts_events];
	bool nulls[Natts_events];

	heap_deform_tuple(&tuple, projection->desc, values, nulls);
	sierra_upcast(projection->upcasters, values, nulls);
	MemoryContextSwitchTo(context);
	upcast = heap_form_tuple(projection->desc, values, nulls);
	MemoryContextSwitchTo(scratch);
	return HeapTupleHeaderGetDatum(upcast->t_data);
}

SierraBatch
sierra_batch_part(const SierraProjection *projection, const SierraBatch *batch, int from, int to)
{
	SierraBatch part = {.count = to - from,
						.events = batch->events + from,
						.positions = batch->positions + from,
						.versions = batch->versions + from,
						.streams = batch->streams + from};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch;

	if (projection->upcasters == NULL)
		return part;
	part.events = palloc(sizeof(Datum) * part.count);
	scratch = AllocSetContextCreate(caller, "sierra_es upcast", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	for (int i = 0; i < part.count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		part.events[i] = upcast_event(projection, batch->events[from + i], caller);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return part;
}

ArrayType *
sierra_batch_array(const SierraProjection *projection, const SierraBatch *batch)
{
	return construct_array(batch->events, batch->count, projection->event_type, -1, false,
						   TYPALIGN_DOUBLE);
}

/* Does the expression use what is not a value of one event: aggregates, windows, sets? */
static bool
is_value_of_event(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	Query *query = linitial_node(Query, source->query_list);

	return !query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs;
}

/* Evaluates the owner's expression for the keys: one row for each event, in their order. */
static void
evaluate_keys(const SierraProjection *projection, ArrayType *events, int count, text **keys,
			  MemoryContext context)
{
	Oid type = get_array_type(projection->event_type);
	Datum value = PointerGetDatum(events);
	/* sierra_key_check() has found one expression; the newline ends a comment in it. */
	char *sql =
		psprintf("SELECT (%s\n)::pg_catalog.text FROM pg_catalog.unnest($1) AS e", projection->key);
	SPIPlanPtr plan = SPI_prepare(sql, 1, &type);
	MemoryContext spi;

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	if (!is_value_of_event(plan) ||
		SPI_execute_plan(plan, &value, NULL, true, 0) != SPI_OK_SELECT || SPI_processed != count)
		ereport(ERROR, errcode(ERRCODE_CARDINALITY_VIOLATION),
				errmsg("the key of projection \"%s\" is not one value for each event",
					   text_to_cstring(projection->name)),
				errdetail("It is %s.", projection->key));
	spi = MemoryContextSwitchTo(context);
	for (int i = 0; i < count; i++)
	{
		bool isnull;
		Datum key = sierra_query_value(i, 1, TEXTOID, &isnull);

		keys[i] = isnull ? NULL : DatumGetTextPCopy(key);
	}
	MemoryContextSwitchTo(spi);
}

text **
sierra_batch_keys(const SierraProjection *projection, const SierraBatch *batch)
{
	text **keys;
	ArrayType *events;
	MemoryContext context;

	if (projection->key == NULL)
		return batch->streams;
	keys = palloc(sizeof(text *) * batch->count);
	events = sierra_batch_array(projection, batch);
	context = sierra_query_begin();
	evaluate_keys(projection, events, batch->count, keys, context);
	sierra_query_end();
	return keys;
}
