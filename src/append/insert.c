/*
 * insert.c
 *		Writes events that have their numbers already.
 *
 * Rows go directly into the table and its indexes, without planner, executor and tuple
 * routing; the apply worker of logical replication inserts rows in the same way.  NOT
 * NULL and CHECK constraints are still checked, and AFTER ROW triggers fire.  The
 * partition constraint need not be checked, because the rows were routed by it.
 *
 * Some features need the executor: row-level security, BEFORE ROW and statement triggers,
 * transition tables, and columns that a user added.  With one of these, rows go through
 * an ordinary INSERT into the events table, which is slower and has the same result.
 */
#include "postgres.h"

#include "append/insert.h"
#include "append/metadata.h"
#include "base/routing.h"
#include "store/direct_insert.h"
#include "store/guard.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * Maximum number of rows that are passed to the table access method at once.  More would
 * need more slots, and save little: rows of a hundred bytes fill a page, and its record in
 * the WAL, already.
 */
#define ROWS_AT_ONCE 64

static Datum
optional_varlena(const void *value, bool *isnull)
{
	*isnull = (value == NULL);
	return PointerGetDatum(value);
}

/*
 * The row of event i of the call, in the column order of event.h.  The metadata may be in
 * the current memory context.
 */
static void
form_row(const SierraInsert *insert, int i, Datum *values, bool *nulls)
{
	const SierraNewEvent *event = &insert->events[i];
	const SierraAppendResult *results = &insert->results[i];
	text *metadata = sierra_metadata_complete(event->metadata, insert->session_metadata);

	memset(nulls, false, sizeof(bool) * Natts_events);
	values[Anum_events_partition_sequence - 1] = Int64GetDatum(results->partition_sequence);
	values[Anum_events_stream_version - 1] = Int64GetDatum(results->stream_version);
	values[Anum_events_global_position - 1] = Int64GetDatum(results->global_position);
	values[Anum_events_timestamp - 1] = TimestampTzGetDatum(event->timestamp);
	values[Anum_events_event_id - 1] = UUIDPGetDatum(&event->event_id);
	values[Anum_events_partition_key - 1] = UUIDPGetDatum(&results->stream->key);
	values[Anum_events_transaction_id - 1] = UUIDPGetDatum(results->transaction_id);
	values[Anum_events_partition_id - 1] = Int32GetDatum(results->stream->partition);
	values[Anum_events_stream_id - 1] = PointerGetDatum(event->stream_id);
	values[Anum_events_event_name - 1] = PointerGetDatum(event->event_name);
	values[Anum_events_metadata - 1] = optional_varlena(metadata, &nulls[Anum_events_metadata - 1]);
	values[Anum_events_payload - 1] =
		optional_varlena(event->payload, &nulls[Anum_events_payload - 1]);
	values[Anum_events_payload_bytes - 1] =
		optional_varlena(event->payload_bytes, &nulls[Anum_events_payload_bytes - 1]);
	values[Anum_events_tags - 1] = optional_varlena(event->tags, &nulls[Anum_events_tags - 1]);
}

static void
store_row(const SierraInsert *insert, int i, TupleTableSlot *slot, ResultRelInfo *result)
{
	ExecClearTuple(slot);
	form_row(insert, i, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	if (result != NULL && RelationGetDescr(result->ri_RelationDesc)->constr != NULL)
		ExecConstraints(result, slot, insert->estate);
}

static void
add_entry(Relation rel, Relation index, Datum *values, TupleTableSlot *slot)
{
	static bool nulls[2] = {false, false};

	index_insert(index, values, nulls, &slot->tts_tid, rel, UNIQUE_CHECK_YES, false, NULL);
}

/*
 * Makes the index entries of a plain partition, one index after the other: neighbours in an
 * index are often in the same page.  The index is a btree, which does not use the argument
 * that is NULL here; nor does PostgreSQL pass it for the index of a TOAST table.
 */
static void
add_entries(const SierraInsert *insert, const SierraAppendPartition *partition,
			TupleTableSlot **slots, const int *which, int count)
{
	const SierraAppendResult *results = insert->results;
	Relation rel = partition->rel;
	Datum values[2];

	for (int i = 0; i < count; i++)
	{
		values[0] = Int64GetDatum(results[which[i]].partition_sequence);
		add_entry(rel, partition->indexes[SIERRA_INDEX_SEQUENCE], values, slots[i]);
	}
	for (int i = 0; i < count; i++)
	{
		values[0] = PointerGetDatum(insert->events[which[i]].stream_id);
		values[1] = Int64GetDatum(results[which[i]].stream_version);
		add_entry(rel, partition->indexes[SIERRA_INDEX_STREAM], values, slots[i]);
	}
	for (int i = 0; i < count; i++)
	{
		values[0] = UUIDPGetDatum(&insert->events[which[i]].event_id);
		add_entry(rel, partition->indexes[SIERRA_INDEX_EVENT_ID], values, slots[i]);
	}
}

/*
 * Makes the index entries, and queues the AFTER ROW triggers.  Rows are formed, checked and
 * written in the context for one row, which this resets: the table access method does not
 * free what it allocates for them.
 */
static void
finish_rows(const SierraInsert *insert, const SierraAppendPartition *partition,
			TupleTableSlot **slots, const int *which, int count)
{
	EState *estate = insert->estate;
	MemoryContext caller;

	for (int i = 0; i < count && partition->result != NULL; i++)
		sierra_direct_insert_finish(partition->result, slots[i], estate);
	if (partition->result != NULL)
		return;
	caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	add_entries(insert, partition, slots, which, count);
	MemoryContextSwitchTo(caller);
	ResetPerTupleExprContext(estate);
}

static void
insert_one(const SierraInsert *insert, const SierraAppendPartition *partition, const int *which)
{
	TupleTableSlot *slot = partition->slot;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(insert->estate));

	store_row(insert, which[0], slot, partition->result);
	table_tuple_insert(partition->rel, slot, GetCurrentCommandId(true), 0, NULL);
	MemoryContextSwitchTo(caller);
	finish_rows(insert, partition, &slot, which, 1);
}

static void
insert_slice(const SierraInsert *insert, const SierraAppendPartition *partition,
			 TupleTableSlot **slots, const int *which, int count)
{
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(insert->estate));

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < count; i++)
		store_row(insert, which[i], slots[i], partition->result);
	table_multi_insert(partition->rel, slots, count, GetCurrentCommandId(true), 0, NULL);
	MemoryContextSwitchTo(caller);
	finish_rows(insert, partition, slots, which, count);
}

/*
 * Sees to it that there are slots for count rows.  All partitions share them, since all
 * have the same columns: a slot costs as much as the index entries of a row.
 */
static void
make_slots(SierraInsert *insert, Relation rel, int count)
{
	MemoryContext round = MemoryContextSwitchTo(insert->estate->es_query_cxt);

	if (insert->slots == NULL)
		insert->slots = palloc(sizeof(TupleTableSlot *) * ROWS_AT_ONCE);
	while (insert->nslots < count)
		insert->slots[insert->nslots++] = table_slot_create(rel, NULL);
	MemoryContextSwitchTo(round);
}

static void
insert_many(SierraInsert *insert, const SierraAppendPartition *partition, const int *which,
			int count)
{
	make_slots(insert, partition->rel, Min(count, ROWS_AT_ONCE));
	for (int done = 0; done < count; done += ROWS_AT_ONCE)
		insert_slice(insert, partition, insert->slots, which + done,
					 Min(ROWS_AT_ONCE, count - done));
}

void
sierra_insert_end(SierraInsert *insert)
{
	for (int i = 0; i < insert->nslots; i++)
		ExecDropSingleTupleTableSlot(insert->slots[i]);
	insert->nslots = 0;
}

static void
insert_plain(SierraInsert *insert, const SierraAppendPartition *partition, const int *which,
			 int count)
{
	if (count == 1)
		insert_one(insert, partition, which);
	else
		insert_many(insert, partition, which, count);
}

static const char *
insert_statement(const SierraStore *store)
{
	return psprintf("INSERT INTO %s (partition_sequence, stream_version, global_position,"
					" \"timestamp\", event_id, partition_key, transaction_id, partition_id,"
					" stream_id, event_name, metadata, payload, payload_bytes, tags)"
					" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
					quote_qualified_identifier(NameStr(store->name), "events"));
}

/* Does the row have the tags of the event?  Its rows in event_tags are those of the event. */
static bool
has_same_tags(TupleTableSlot *slot, const SierraNewEvent *event)
{
	bool isnull;
	Datum stored = slot_getattr(slot, Anum_events_tags, &isnull);
	ArrayType *tags;

	if (isnull || event->tags == NULL)
		return isnull && event->tags == NULL;
	tags = DatumGetArrayTypeP(stored);
	return VARSIZE(tags) == VARSIZE(event->tags) && memcmp(tags, event->tags, VARSIZE(tags)) == 0;
}

/* A trigger may have changed a number, id or name of the event, which is not allowed. */
static void
check_stored(SierraAppendPartition *partition, const SierraNewEvent *event,
			 const SierraAppendResult *results)
{
	ScanKeyData key;
	SierraScan scan;
	bool same;

	sierra_scan_key_int8(&key, 1, BTEqualStrategyNumber, results->partition_sequence);
	sierra_scan_begin(&scan, partition->rel, partition->indexes[SIERRA_INDEX_SEQUENCE], false,
					  SnapshotSelf, 1);
	sierra_scan_rescan(&scan, &key);
	same = sierra_scan_next(&scan, ForwardScanDirection) &&
		   sierra_slot_int8(scan.slot, Anum_events_stream_version) == results->stream_version &&
		   sierra_slot_int8(scan.slot, Anum_events_global_position) == results->global_position &&
		   sierra_uuid_equal(sierra_slot_uuid(scan.slot, Anum_events_event_id), &event->event_id) &&
		   sierra_uuid_equal(sierra_slot_uuid(scan.slot, Anum_events_partition_key),
							 &results->stream->key) &&
		   sierra_uuid_equal(sierra_slot_uuid(scan.slot, Anum_events_transaction_id),
							 results->transaction_id) &&
		   sierra_slot_int8(scan.slot, Anum_events_timestamp) == event->timestamp &&
		   sierra_slot_text_equal(scan.slot, Anum_events_event_name, event->event_name) &&
		   sierra_slot_text_equal(scan.slot, Anum_events_stream_id, event->stream_id) &&
		   has_same_tags(scan.slot, event);
	sierra_scan_end(&scan);
	if (!same)
		ereport(ERROR, errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				errmsg("the event for stream \"%s\" was changed while it was stored",
					   text_to_cstring(event->stream_id)),
				errdetail("A trigger on table \"events\" changed more than metadata or payload."),
				errhint("Triggers may check an event, and change its metadata or payload."));
}

static void
execute_insert(SPIPlanPtr plan, const SierraInsert *insert, int i)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];
	char spi_nulls[Natts_events];
	MemoryContext spi = MemoryContextSwitchTo(GetPerTupleMemoryContext(insert->estate));

	form_row(insert, i, values, nulls);
	MemoryContextSwitchTo(spi);
	for (int column = 0; column < Natts_events; column++)
		spi_nulls[column] = nulls[column] ? 'n' : ' ';
	/* Do not fire AFTER triggers here, but at the end of the append; see append.c. */
	if (SPI_execute_snapshot(plan, values, spi_nulls, InvalidSnapshot, InvalidSnapshot, false,
							 false, 0) != SPI_OK_INSERT ||
		SPI_processed != 1)
		ereport(ERROR, errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				errmsg("the event for stream \"%s\" was not stored",
					   text_to_cstring(insert->events[i].stream_id)),
				errdetail("A trigger or rule on table \"events\" suppressed it."),
				errhint("Let the trigger raise an error instead."));
}

/*
 * Statement triggers, and so the guard, fire once per query level and table.  So only
 * the first INSERT of an append needs a permit.  The permit of a later one would not be
 * used up, and another statement could use it.
 */
static void
insert_by_executor(SierraInsert *insert, SierraAppendPartition *partition, const int *which,
				   int count)
{
	Oid types[Natts_events] = {INT8OID, INT8OID, INT8OID,  TIMESTAMPTZOID, UUIDOID,
							   UUIDOID, UUIDOID, INT4OID,  TEXTOID,		   TEXTOID,
							   JSONOID, JSONOID, BYTEAOID, TEXTARRAYOID};
	SPIPlanPtr plan;

	SPI_connect();
	plan = SPI_prepare(insert_statement(insert->store), Natts_events, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the INSERT of an event: %s",
			 SPI_result_code_string(SPI_result));

	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!insert->guard_passed)
			sierra_guard_give_permit(insert->store->events);
		insert->guard_passed = true;
		execute_insert(plan, insert, which[i]);
		sierra_guard_withdraw_permit();
		check_stored(partition, &insert->events[which[i]], &insert->results[which[i]]);
		ResetPerTupleExprContext(insert->estate);
	}
	SPI_finish();
}

static bool
needs_executor(const SierraStore *store, const SierraAppendPartition *partition)
{
	const TriggerDesc *triggers = partition->rel->trigdesc;

	if (!store->plain_insert || sierra_store_has_row_security(store))
		return true;
	if (RelationGetDescr(partition->rel)->natts != Natts_events)
		return true;
	return triggers != NULL &&
		   (triggers->trig_insert_before_row || triggers->trig_insert_new_table);
}

void
sierra_insert_events(SierraInsert *insert, SierraAppendPartition *partition, const int *which,
					 int count)
{
	if (needs_executor(insert->store, partition))
		insert_by_executor(insert, partition, which, count);
	else
		insert_plain(insert, partition, which, count);
}
