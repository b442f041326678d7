/*
 * row_security.c
 *		Reads for users to which row-level security of the events table applies.
 *
 * Policies can contain any SQL, so the planner and the executor have to apply them.
 * This sink collects events in batches.  It reads each batch again through the events
 * table, partition by partition with one generic plan, and passes on what it finds in
 * the order in which the events came.  So the same code decides about order, limits
 * and the horizon as for all other users.
 */
#include "postgres.h"

#include "read/row_security.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define BATCH_MAX 500

/* An event that has to be read again. */
typedef struct Pending
{
	int32 partition;
	int64 sequence;
	int place; /* in the order in which the events came */
} Pending;

typedef struct RowSecuritySink
{
	SierraSink base;
	const SierraStore *store;
	SierraRowCallback callback;
	void *arg;
	int batch; /* size of a batch; grows, as most reads end early or read everything */
	int count;
	bool done;
	Pending pending[BATCH_MAX];
	HeapTuple found[BATCH_MAX]; /* by place; NULL: the user may not see it */
} RowSecuritySink;

static char *
events_table(const SierraStore *store)
{
	return pstrdup(quote_qualified_identifier(NameStr(store->name), "events"));
}

static int
compare_pending(const void *a, const void *b)
{
	const Pending *left = a;
	const Pending *right = b;

	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	if (left->sequence != right->sequence)
		return left->sequence < right->sequence ? -1 : 1;
	return 0;
}

/* Prepares the query for events of one partition; its columns are those of sierra_event. */
static SPIPlanPtr
prepare_query(const SierraStore *store)
{
	char *query = psprintf("SELECT global_position, partition_id, partition_sequence, stream_id,"
						   " stream_version, event_id, event_name, \"timestamp\", partition_key,"
						   " transaction_id, metadata, payload, payload_bytes, tags FROM %s"
						   " WHERE partition_id OPERATOR(pg_catalog.=) $1"
						   " AND partition_sequence OPERATOR(pg_catalog.=) ANY ($2)"
						   " ORDER BY partition_sequence",
						   events_table(store));
	Oid types[2] = {INT4OID, INT8ARRAYOID};
	/* To plan for each partition of each batch would take longer than to read the rows. */
	SPIPlanPtr plan = SPI_prepare_cursor(query, 2, types, CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "could not prepare a read under row-level security: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

/* Reads count pending events of one partition again; they and the rows ascend by sequence. */
static void
read_again(RowSecuritySink *sink, SPIPlanPtr plan, const Pending *pending, int count)
{
	Datum *sequences = palloc(sizeof(Datum) * count);
	Datum values[2];
	int next = 0;

	for (int i = 0; i < count; i++)
		sequences[i] = Int64GetDatum(pending[i].sequence);
	values[0] = Int32GetDatum(pending[0].partition);
	values[1] = PointerGetDatum(construct_array(sequences, count, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	if (SPI_execute_plan(plan, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read events under row-level security");

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		HeapTuple tuple = SPI_tuptable->vals[row];
		int64 sequence = sierra_query_int8(row, 3);

		while (next < count && pending[next].sequence < sequence)
			next++;
		if (next < count && pending[next].sequence == sequence)
			sink->found[pending[next].place] = tuple;
	}
}

static void
pass_on_found(RowSecuritySink *sink, TupleDesc desc)
{
	for (int place = 0; place < sink->count && !sink->done; place++)
	{
		Datum values[Natts_events];
		bool nulls[Natts_events];

		if (sink->found[place] == NULL)
			continue;
		heap_deform_tuple(sink->found[place], desc, values, nulls);
		sink->done = !sink->callback(sink->arg, values, nulls);
	}
}

static void
flush_batch(RowSecuritySink *sink)
{
	SPIPlanPtr plan;

	if (sink->count == 0)
		return;
	SPI_connect();
	plan = prepare_query(sink->store);
	memset(sink->found, 0, sizeof(HeapTuple) * sink->count);
	qsort(sink->pending, sink->count, sizeof(Pending), compare_pending);
	for (int start = 0; start < sink->count;)
	{
		int end = start + 1;

		while (end < sink->count && sink->pending[end].partition == sink->pending[start].partition)
			end++;
		read_again(sink, plan, &sink->pending[start], end - start);
		start = end;
	}
	pass_on_found(sink, SPI_tuptable->tupdesc);
	SPI_finish();
	sink->count = 0;
	sink->batch = Min(sink->batch * 4, BATCH_MAX);
}

bool
sierra_row_security_put(SierraSink *base, int32 partition, int64 sequence)
{
	RowSecuritySink *sink = (RowSecuritySink *) base;
	Pending *pending = &sink->pending[sink->count];

	pending->partition = partition;
	pending->sequence = sequence;
	pending->place = sink->count;
	if (++sink->count >= sink->batch)
		flush_batch(sink);
	return !sink->done;
}

static bool
put_event(SierraSink *sink, TupleTableSlot *slot)
{
	return sierra_row_security_put(sink, sierra_slot_int4(slot, Anum_events_partition_id),
								   sierra_slot_int8(slot, Anum_events_partition_sequence));
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

/* Runs a query that returns one bigint; false if it is null. */
static bool
query_int8(const char *query, int nargs, Oid *types, Datum *values, int64 *result)
{
	bool isnull;
	Datum found;

	SPI_connect();
	if (SPI_execute_with_args(query, nargs, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a number under row-level security");
	found = sierra_query_value(0, 1, INT8OID, &isnull);
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

	Oid type = TEXTOID;
	Datum value = PointerGetDatum(stream_id);

	return query_int8(query, 1, &type, &value, version);
}

bool
sierra_row_security_sequence(const SierraStore *store, int partition, int64 *sequence)
{
	char *query = psprintf("SELECT pg_catalog.max(partition_sequence) FROM %s"
						   " WHERE partition_id OPERATOR(pg_catalog.=) $1",
						   events_table(store));

	Oid type = INT4OID;
	Datum value = Int32GetDatum(partition);

	return query_int8(query, 1, &type, &value, sequence);
}

int64
sierra_row_security_count(const SierraStore *store, int partition, int64 from_sequence)
{
	char *query = psprintf("SELECT pg_catalog.count(*) FROM %s"
						   " WHERE partition_id OPERATOR(pg_catalog.=) $1"
						   " AND partition_sequence OPERATOR(pg_catalog.>=) $2",
						   events_table(store));
	Oid types[] = {INT4OID, INT8OID};
	Datum values[] = {Int32GetDatum(partition), Int64GetDatum(from_sequence)};
	int64 count = 0;

	(void) query_int8(query, 2, types, values, &count);
	return count;
}
