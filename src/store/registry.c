/*
 * registry.c
 *		The companion tables: streams with a key of their own, ids of clients.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/routing.h"
#include "store/direct_insert.h"
#include "store/event.h"
#include "store/registry.h"
#include "store/scan.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of stream_keys and event_ids: the key, then what is kept for it. */
#define ANUM_KEY 1
#define ANUM_VALUE 2

/* Finds the row with this primary key; *value is copied (by reference: uuid). */
static bool
find_row(Oid relid, ScanKey key, Snapshot snapshot, Size value_size, void *value)
{
	Relation rel = table_open(relid, AccessShareLock);
	SierraScan scan;
	bool found;

	sierra_scan_begin(&scan, rel, sierra_scan_open_primary_key(rel), true, snapshot, 1);
	sierra_scan_rescan(&scan, key);
	found = sierra_scan_next(&scan, ForwardScanDirection);
	if (found)
	{
		bool isnull;
		Datum datum = slot_getattr(scan.slot, ANUM_VALUE, &isnull);

		if (value_size == sizeof(pg_uuid_t))
			memcpy(value, DatumGetUUIDP(datum), sizeof(pg_uuid_t));
		else
			*(int *) value = DatumGetInt32(datum);
	}
	sierra_scan_end(&scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* Writes one row of a companion table; returns when its index entries are there. */
static void
insert_row(Oid relation, EState *estate, Datum *values)
{
	Relation rel = table_open(relation, RowExclusiveLock);
	ResultRelInfo *result = sierra_direct_insert_open(rel);
	TupleTableSlot *slot = table_slot_create(rel, NULL);

	/* The store was looked up before the table was locked. */
	if (RelationGetDescr(rel)->natts != Natts_companion)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("table \"%s\" has been changed", RelationGetRelationName(rel)),
				errhint("Drop the columns that were added to it."));

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
 * Whether no stream has a key of its own, as in most stores, where each new
 * stream is looked for in vain.  The size is that of the file now: who wrote a
 * row that is to be seen has extended it before.
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

	/* Under SERIALIZABLE the scan leaves its trace, found or not. */
	if (!IsolationIsSerializable() && has_no_keys(store))
		return false;
	sierra_scan_key_text(&scan_key, ANUM_KEY, stream_id);
	return find_row(store->stream_keys, &scan_key, snapshot, sizeof(*key), key);
}

void
sierra_registry_add_key(const SierraStore *store, EState *estate, const text *stream_id,
						const pg_uuid_t *key)
{
	Datum values[2] = {PointerGetDatum(stream_id), UUIDPGetDatum(key)};

	insert_row(store->stream_keys, estate, values);
}

int
sierra_registry_find_id(const SierraStore *store, const pg_uuid_t *event_id, Snapshot snapshot)
{
	ScanKeyData scan_key;
	int partition;

	sierra_scan_key_uuid(&scan_key, ANUM_KEY, event_id);
	if (!find_row(store->event_ids, &scan_key, snapshot, sizeof(partition), &partition))
		return -1;
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
 * The append has looked for the id before, so a unique violation here means
 * that another session added it to another partition in between.
 */
void
sierra_registry_add_id(const SierraStore *store, EState *estate, const pg_uuid_t *event_id,
					   int partition)
{
	MemoryContext context = CurrentMemoryContext;
	Datum values[2] = {UUIDPGetDatum(event_id), Int32GetDatum(partition)};

	PG_TRY();
	{
		insert_row(store->event_ids, estate, values);
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
