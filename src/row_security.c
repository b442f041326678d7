/*
 * row_security.c
 *		Reads for users whom row-level security of the events table holds for.
 *
 * Policies are arbitrary SQL, so the planner and the executor have to apply
 * them.  That costs a query per batch of events, and keeps order, limits and
 * the horizon the business of the same engine that reads for everybody else.
 */
#include "postgres.h"

#include "event.h"
#include "row_security.h"
#include "scan.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define BATCH_MAX 500

typedef struct RowSecuritySink
{
	SierraSink base;
	const SierraStore *store;
	SierraRowCallback callback;
	void *arg;
	int batch; /* grows: most reads end early or take everything */
	int count;
	bool done;
	Datum partitions[BATCH_MAX];
	Datum sequences[BATCH_MAX];
} RowSecuritySink;

static char *
events_table(const SierraStore *store)
{
	return pstrdup(quote_qualified_identifier(NameStr(store->name), "events"));
}

static void
run_query(const char *query, int nargs, Oid *types, Datum *values)
{
	if (SPI_execute_with_args(query, nargs, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read events under row-level security");
}

/* Hands one row of the query's result to the callback. */
static bool
pass_on(RowSecuritySink *sink, HeapTuple tuple, TupleDesc desc)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	heap_deform_tuple(tuple, desc, values, nulls);
	return sink->callback(sink->arg, values, nulls);
}

static void
flush_batch(RowSecuritySink *sink)
{
	Oid types[2] = {INT4ARRAYOID, INT8ARRAYOID};
	Datum values[2];
	char *query;

	if (sink->count == 0)
		return;
	SPI_connect();
	values[0] = PointerGetDatum(
		construct_array(sink->partitions, sink->count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(sink->sequences, sink->count, INT8OID,
												sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	query =
		psprintf("SELECT e.global_position, e.partition_id, e.partition_sequence, e.stream_id,"
				 " e.stream_version, e.event_id, e.event_name, e.\"timestamp\", e.partition_key,"
				 " e.transaction_id, e.metadata, e.payload, e.payload_bytes"
				 " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY"
				 " AS wanted (partition_id, sequence, place)"
				 " JOIN %s AS e ON e.partition_id OPERATOR(pg_catalog.=) wanted.partition_id"
				 " AND e.partition_sequence OPERATOR(pg_catalog.=) wanted.sequence"
				 " ORDER BY wanted.place",
				 events_table(sink->store));
	run_query(query, 2, types, values);
	for (uint64 i = 0; i < SPI_processed && !sink->done; i++)
		sink->done = !pass_on(sink, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	SPI_finish();
	sink->count = 0;
	sink->batch = Min(sink->batch * 4, BATCH_MAX);
}

static bool
put_event(SierraSink *base, TupleTableSlot *slot)
{
	RowSecuritySink *sink = (RowSecuritySink *) base;
	bool isnull;

	sink->partitions[sink->count] = slot_getattr(slot, Anum_events_partition_id, &isnull);
	sink->sequences[sink->count] =
		Int64GetDatum(sierra_slot_int8(slot, Anum_events_partition_sequence));
	if (++sink->count >= sink->batch)
		flush_batch(sink);
	return !sink->done;
}

SierraSink *
sierra_row_security_sink(const SierraStore *store, SierraRowCallback callback, void *arg,
						 int64 expected_rows)
{
	RowSecuritySink *sink = palloc0(sizeof(RowSecuritySink));

	sink->base.put = put_event;
	sink->store = store;
	sink->callback = callback;
	sink->arg = arg;
	sink->batch = Max(1, Min(expected_rows, BATCH_MAX));
	return &sink->base;
}

void
sierra_row_security_finish(SierraSink *base)
{
	RowSecuritySink *sink = (RowSecuritySink *) base;

	if (!sink->done)
		flush_batch(sink);
}

/* Runs a query for one bigint. */
static bool
query_int8(const char *query, Oid type, Datum value, int64 *result)
{
	bool isnull;
	Datum found;

	SPI_connect();
	run_query(query, 1, &type, &value);
	found = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		*result = DatumGetInt64(found);
	SPI_finish();
	return !isnull;
}

bool
sierra_row_security_stream_version(const SierraStore *store, const text *stream_id, int64 *version)
{
	char *query = psprintf("SELECT pg_catalog.max(stream_version) FROM %s"
						   " WHERE stream_id OPERATOR(pg_catalog.=) $1",
						   events_table(store));

	return query_int8(query, TEXTOID, PointerGetDatum(stream_id), version);
}

bool
sierra_row_security_sequence(const SierraStore *store, int partition, int64 *sequence)
{
	char *query = psprintf("SELECT pg_catalog.max(partition_sequence) FROM %s"
						   " WHERE partition_id OPERATOR(pg_catalog.=) $1",
						   events_table(store));

	return query_int8(query, INT4OID, Int32GetDatum(partition), sequence);
}
