/*
 * append_partition.c
 *		A partition that an append writes to: opens, reads and closes it.
 */
#include "postgres.h"

#include "append/append_partition.h"
#include "store/direct_insert.h"
#include "store/event.h"
#include "store/table_shape.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Finds an index among those that are open already. */
static Relation
find_index(SierraAppendPartition *partition, SierraIndex kind)
{
	for (int i = 0; i < partition->result->ri_NumIndices; i++)
	{
		Relation index = partition->result->ri_IndexRelationDescs[i];

		if (sierra_shape_is_index(index, &sierra_partition_shape.indexes[kind]))
			return index;
	}
	sierra_shape_report_index(partition->rel, &sierra_partition_shape, kind);
	return NULL; /* not reached */
}

void
sierra_append_partition_open(const SierraStore *store, int id, SierraAppendPartition *partition)
{
	partition->id = id;
	partition->rel = sierra_scan_open_partition(store, id, RowExclusiveLock);
	partition->result = sierra_direct_insert_open(partition->rel);
	partition->slot = table_slot_create(partition->rel, NULL);
	partition->lock_is_new = false;
	partition->stream_scanning = partition->id_scanning = false;
	partition->sequence_index = find_index(partition, SIERRA_INDEX_SEQUENCE);
	partition->stream_index = find_index(partition, SIERRA_INDEX_STREAM);
	partition->event_id_index = find_index(partition, SIERRA_INDEX_EVENT_ID);
}

void
sierra_append_partition_close(SierraAppendPartition *partition)
{
	ExecDropSingleTupleTableSlot(partition->slot);
	ExecCloseIndices(partition->result);
	table_close(partition->rel, NoLock);
}

/*
 * Under REPEATABLE READ and SERIALIZABLE an append is refused if the stream has grown
 * since the snapshot of the transaction was taken: the caller has decided without
 * seeing the newest events.
 */
static bool
grew_after_snapshot(SierraAppendPartition *partition, TupleTableSlot *newest)
{
	bool isnull;
	TransactionId xmin;

	if (!IsolationUsesXactSnapshot())
		return false;
	xmin = DatumGetTransactionId(slot_getsysattr(newest, MinTransactionIdAttributeNumber, &isnull));
	if (TransactionIdIsCurrentTransactionId(xmin))
		return false;
	return !table_tuple_satisfies_snapshot(partition->rel, newest, GetTransactionSnapshot());
}

/*
 * SnapshotSelf sees what is committed at this moment and our own rows, also those of
 * this command.  While we hold the partition lock, there are no other rows.  This
 * snapshot does not take predicate locks, so under SERIALIZABLE an append does not
 * conflict with appends to other streams that share an index page with it.
 */
bool
sierra_append_partition_probe_stream(SierraAppendPartition *partition, const text *stream_id,
									 int64 *version, pg_uuid_t *key, bool *not_serializable)
{
	ScanKeyData scan_key;
	SierraScan *scan = &partition->stream_scan;

	/* Keep one scan per partition, because a batch looks for many streams. */
	if (!partition->stream_scanning)
		sierra_scan_begin(scan, partition->rel, partition->stream_index, false, SnapshotSelf, 1);
	partition->stream_scanning = true;
	sierra_scan_key_text(&scan_key, 1, stream_id);
	if (!sierra_scan_last(scan, &scan_key))
		return false;
	*version = sierra_slot_int8(scan->slot, Anum_events_stream_version);
	*key = *sierra_slot_uuid(scan->slot, Anum_events_partition_key);
	*not_serializable = grew_after_snapshot(partition, scan->slot);
	return true;
}

TupleTableSlot *
sierra_append_partition_find_id(SierraAppendPartition *partition, const pg_uuid_t *event_id)
{
	ScanKeyData scan_key;
	SierraScan *scan = &partition->id_scan;

	if (!partition->id_scanning)
		sierra_scan_begin(scan, partition->rel, partition->event_id_index, false, SnapshotSelf, 1);
	partition->id_scanning = true;
	sierra_scan_key_uuid(&scan_key, 1, event_id);
	sierra_scan_rescan(scan, &scan_key);
	return sierra_scan_next(scan, ForwardScanDirection) ? scan->slot : NULL;
}

void
sierra_append_partition_end_probes(SierraAppendPartition *partition)
{
	if (partition->stream_scanning)
		sierra_scan_end(&partition->stream_scan);
	if (partition->id_scanning)
		sierra_scan_end(&partition->id_scan);
	partition->stream_scanning = partition->id_scanning = false;
}

void
sierra_append_partition_probe(SierraAppendPartition *partition)
{
	sierra_scan_newest_locked(partition->rel, partition->sequence_index, partition->slot,
							  &partition->sequence, &partition->position);
}
