/*
 * registry.c
 *		The companion tables stream_keys and event_ids.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/routing.h"
#include "store/direct_insert.h"
#include "store/event.h"
#include "store/registry.h"
#include "store/scan.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of stream_keys and event_ids: the key, and the value that is kept for it. */
#define ANUM_KEY 1
#define ANUM_VALUE 2

/* Opens a companion table; SE005 if it was dropped or altered since the store was looked up. */
static Relation
open_companion(const SierraStore *store, Oid relid, const SierraTableShape *shape, LOCKMODE lock)
{
	Relation rel = try_relation_open(relid, lock);

	if (rel == NULL)
		sierra_store_report_missing(NameStr(store->name));
	sierra_shape_check(rel, shape);
	return rel;
}

/* Finds the row with this primary key; keep() takes its second column. */
static bool
find_row(const SierraStore *store, Oid relid, const SierraTableShape *shape, ScanKey key,
		 Snapshot snapshot, void (*keep)(TupleTableSlot *slot, void *value), void *value)
{
	Relation rel = open_companion(store, relid, shape, AccessShareLock);
	SierraScan scan;
	bool found;

	sierra_scan_begin(&scan, rel, sierra_shape_open_index(rel, shape, 0), true, snapshot, 1);
	sierra_scan_rescan(&scan, key);
	found = sierra_scan_next(&scan, ForwardScanDirection);
	if (found)
		keep(scan.slot, value);
	sierra_scan_end(&scan);
	table_close(rel, AccessShareLock);
	return found;
}

static void
keep_uuid(TupleTableSlot *slot, void *value)
{
	*(pg_uuid_t *) value = *sierra_slot_uuid(slot, ANUM_VALUE);
}

static void
keep_int4(TupleTableSlot *slot, void *value)
{
	*(int32 *) value = sierra_slot_int4(slot, ANUM_VALUE);
}

/* Writes one row of a companion table; returns when its index entries are there. */
static void
insert_row(const SierraStore *store, Oid relid, const SierraTableShape *shape, EState *estate,
		   Datum *values)
{
	Relation rel = open_companion(store, relid, shape, RowExclusiveLock);
	ResultRelInfo *result = sierra_direct_insert_open(rel);
	TupleTableSlot *slot = table_slot_create(rel, NULL);

	memcpy(slot->tts_values, values, sizeof(Datum) * Natts_companion);
	memset(slot->tts_isnull, false, sizeof(bool) * Natts_companion);
	ExecStoreVirtualTuple(slot);
	if (RelationGetDescr(rel)->constr != NULL)
		ExecConstraints(result, slot, estate);
	table_tuple_insert(rel, slot, GetCurrentCommandId(true), 0, NULL);
	sierra_direct_insert_finish(result, slot, estate);
	ExecDropSingleTupleTableSlot(slot);
	ExecCloseIndices(result);
	table_close(rel, NoLock);
}

/*
 * Is the table of stream keys empty?  It is in most stores, and then a search for
 * each new stream would be wasted.  The file has its current size at any time: a
 * transaction that wrote a row had to extend the file before the row was visible.
 */
static bool
has_no_keys(const SierraStore *store)
{
	Relation rel = table_open(store->stream_keys, AccessShareLock);
	bool empty = (RelationGetNumberOfBlocks(rel) == 0);

	table_close(rel, AccessShareLock);
	return empty;
}

bool
sierra_registry_find_key(const SierraStore *store, const text *stream_id, Snapshot snapshot,
						 pg_uuid_t *key)
{
	ScanKeyData scan_key;

	/* Under SERIALIZABLE the scan is needed for its predicate lock, even if it finds nothing. */
	if (!IsolationIsSerializable() && has_no_keys(store))
		return false;
	sierra_scan_key_text(&scan_key, ANUM_KEY, stream_id);
	return find_row(store, store->stream_keys, &sierra_stream_keys_shape, &scan_key, snapshot,
					keep_uuid, key);
}

void
sierra_registry_add_key(const SierraStore *store, EState *estate, const text *stream_id,
						const pg_uuid_t *key)
{
	Datum values[2] = {PointerGetDatum(stream_id), UUIDPGetDatum(key)};

	insert_row(store, store->stream_keys, &sierra_stream_keys_shape, estate, values);
}

int
sierra_registry_find_id(const SierraStore *store, const pg_uuid_t *event_id, Snapshot snapshot)
{
	ScanKeyData scan_key;
	int32 partition;

	sierra_scan_key_uuid(&scan_key, ANUM_KEY, event_id);
	if (!find_row(store, store->event_ids, &sierra_event_ids_shape, &scan_key, snapshot, keep_int4,
				  &partition))
		return -1;
	if (partition < 0 || partition >= store->partitions)
		ereport(
			ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("table \"event_ids\" of event store \"%s\" is damaged", NameStr(store->name)),
			errdetail("Event id %s is registered for partition %d; the store has partitions 0 "
					  "to %d.",
					  sierra_uuid_text(event_id), partition, store->partitions - 1),
			errhint("Correct the row; everify() shows what else is wrong."));
	return partition;
}

int
sierra_registry_find_settled_id(const SierraStore *store, const pg_uuid_t *event_id)
{
	for (;;)
	{
		SnapshotData dirty;
		int partition;

		InitDirtySnapshot(dirty);
		partition = sierra_registry_find_id(store, event_id, &dirty);
		if (partition < 0 || !TransactionIdIsValid(dirty.xmin))
			return partition;
		XactLockTableWait(dirty.xmin, NULL, NULL, XLTW_None);
	}
}

/*
 * The append has looked for the id before.  So a unique violation here means that
 * another session added the id in between, with an event of another partition.
 */
void
sierra_registry_add_id(const SierraStore *store, EState *estate, const pg_uuid_t *event_id,
					   int partition)
{
	MemoryContext context = CurrentMemoryContext;
	Datum values[2] = {UUIDPGetDatum(event_id), Int32GetDatum(partition)};

	PG_TRY();
	{
		insert_row(store, store->event_ids, &sierra_event_ids_shape, estate, values);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		ereport(ERROR, errcode(ERRCODE_SIERRA_DUPLICATE_EVENT),
				errmsg("duplicate event id %s", sierra_uuid_text(event_id)),
				errdetail("Another session has just appended an event with this id."),
				errhint("Generate a new id for each new event; repeat an append only to the "
						"same stream."));
	}
	PG_END_TRY();
}
