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
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * The partitions that this session has found to be plain: a row needs entries in the three
 * indexes of the shape, and nothing else.  So their indexes need not be looked for, nor
 * prepared for the executor, by each append.  Any change to a relation makes all of them
 * unknown again.
 */
#define KNOWN 256

typedef struct KnownPartition
{
	Oid relid;
	uint64 changes; /* when it was found to be plain */
	Oid indexes[SIERRA_INDEXES_MAX];
} KnownPartition;

static KnownPartition known[KNOWN];
static uint64 changes = 0; /* 0: the callback is not registered */

static void
relation_changed(Datum arg, Oid relid)
{
	changes++;
}

/* The place of a partition, which another one may have at the moment. */
static KnownPartition *
place_of(Relation rel)
{
	if (changes == 0)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		changes = 1;
	}
	return &known[RelationGetRelid(rel) % KNOWN];
}

static bool
is_known(const KnownPartition *place, Relation rel)
{
	return place->relid == RelationGetRelid(rel) && place->changes == changes;
}

/* Does the table do nothing for a new row but store it, which has only values that it allows? */
static bool
is_plain_table(Relation rel)
{
	const TupleDesc desc = RelationGetDescr(rel);
	const TriggerDesc *triggers = rel->trigdesc;

	if (triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
							 triggers->trig_insert_new_table))
		return false;
	/* Generated columns are more columns than those of the store. */
	if (desc->natts != Natts_events || (desc->constr != NULL && desc->constr->num_check > 0))
		return false;
	return !TupleDescAttr(desc, Anum_events_metadata - 1)->attnotnull &&
		   !TupleDescAttr(desc, Anum_events_payload - 1)->attnotnull &&
		   !TupleDescAttr(desc, Anum_events_payload_bytes - 1)->attnotnull &&
		   !TupleDescAttr(desc, Anum_events_tags - 1)->attnotnull;
}

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

/* Opens the indexes of a partition of which nothing is known; remembers it if it is plain. */
static void
look_for_indexes(SierraAppendPartition *partition, KnownPartition *place)
{
	/* A change that arrives meanwhile makes the place unknown. */
	uint64 changes_before = changes;

	partition->result = sierra_direct_insert_open(partition->rel);
	for (int i = 0; i < SIERRA_INDEXES_MAX; i++)
		partition->indexes[i] = find_index(partition, i);
	if (partition->result->ri_NumIndices != SIERRA_INDEXES_MAX || !is_plain_table(partition->rel))
		return;
	place->relid = RelationGetRelid(partition->rel);
	place->changes = changes_before;
	for (int i = 0; i < SIERRA_INDEXES_MAX; i++)
		place->indexes[i] = RelationGetRelid(partition->indexes[i]);
}

/*
 * The lock on the table keeps the indexes from being dropped, also by REINDEX CONCURRENTLY,
 * which adds new ones before it drops these.
 */
static void
open_known_indexes(SierraAppendPartition *partition, const KnownPartition *place)
{
	const KnownPartition copy = *place; /* opening an index can change it */

	for (int i = 0; i < SIERRA_INDEXES_MAX; i++)
		partition->indexes[i] = index_open(copy.indexes[i], RowExclusiveLock);
}

void
sierra_append_partition_open(const SierraStore *store, int id, SierraAppendPartition *partition)
{
	KnownPartition *place;

	partition->id = id;
	partition->rel = sierra_scan_open_partition(store, id, RowExclusiveLock);
	partition->result = NULL;
	partition->slot = table_slot_create(partition->rel, NULL);
	partition->is_announced = false;
	partition->pending = 0;
	partition->stream_scanning = partition->id_scanning = false;
	place = place_of(partition->rel);
	if (is_known(place, partition->rel))
		open_known_indexes(partition, place);
	else
		look_for_indexes(partition, place);
}

void
sierra_append_partition_close(SierraAppendPartition *partition)
{
	ExecDropSingleTupleTableSlot(partition->slot);
	if (partition->result != NULL)
		ExecCloseIndices(partition->result);
	for (int i = 0; i < SIERRA_INDEXES_MAX && partition->result == NULL; i++)
		index_close(partition->indexes[i], RowExclusiveLock);
	table_close(partition->rel, NoLock);
}

/*
 * Under REPEATABLE READ and SERIALIZABLE an append is refused if the stream has grown
 * since the snapshot of the transaction was taken: the caller has decided without
 * seeing the newest events.
 */
bool
sierra_append_partition_is_after_snapshot(Relation rel, TupleTableSlot *event)
{
	bool isnull;
	TransactionId xmin;

	if (!IsolationUsesXactSnapshot())
		return false;
	xmin = DatumGetTransactionId(slot_getsysattr(event, MinTransactionIdAttributeNumber, &isnull));
	if (TransactionIdIsCurrentTransactionId(xmin))
		return false;
	return !table_tuple_satisfies_snapshot(rel, event, GetTransactionSnapshot());
}

static void
read_stream(SierraAppendPartition *partition, TupleTableSlot *newest, int64 *version,
			pg_uuid_t *key, bool *not_serializable)
{
	*version = sierra_slot_int8(newest, Anum_events_stream_version);
	*key = *sierra_slot_uuid(newest, Anum_events_partition_key);
	*not_serializable = sierra_append_partition_is_after_snapshot(partition->rel, newest);
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

	/*
	 * The row in the slot is the newest of its stream.  On a busy stream it is the newest of
	 * the partition too.
	 */
	if (!TTS_EMPTY(partition->slot) &&
		sierra_slot_text_equal(partition->slot, Anum_events_stream_id, stream_id))
	{
		read_stream(partition, partition->slot, version, key, not_serializable);
		return true;
	}

	switch (sierra_scan_newest_of_stream(partition->rel, partition->indexes[SIERRA_INDEX_STREAM],
										 stream_id, partition->slot))
	{
		case SIERRA_FOUND:
			read_stream(partition, partition->slot, version, key, not_serializable);
			return true;
		case SIERRA_NOT_FOUND:
			return false;
		case SIERRA_UNKNOWN:
			break;
	}

	/* Keep one scan per partition, because a batch looks for many streams. */
	if (!partition->stream_scanning)
		sierra_scan_begin(scan, partition->rel, partition->indexes[SIERRA_INDEX_STREAM], false,
						  SnapshotSelf, 1);
	partition->stream_scanning = true;
	sierra_scan_key_text(&scan_key, 1, stream_id);
	if (!sierra_scan_last(scan, &scan_key))
		return false;
	read_stream(partition, scan->slot, version, key, not_serializable);
	return true;
}

TupleTableSlot *
sierra_append_partition_find_id(SierraAppendPartition *partition, const pg_uuid_t *event_id)
{
	ScanKeyData scan_key;
	SierraScan *scan = &partition->id_scan;

	if (!partition->id_scanning)
		sierra_scan_begin(scan, partition->rel, partition->indexes[SIERRA_INDEX_EVENT_ID], false,
						  SnapshotSelf, 1);
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
	ExecClearTuple(partition->slot);
}

void
sierra_append_partition_probe(SierraAppendPartition *partition)
{
	sierra_scan_newest_locked(partition->rel, partition->indexes[SIERRA_INDEX_SEQUENCE],
							  partition->slot, &partition->sequence, &partition->position);
}
