/*
 * position.c
 *		Global positions: one sequence object per store.
 *
 * Positions are taken under a partition lock, so they agree with the order of
 * the partition.  A position that rolls back is a hole; nobody waits for it.
 *
 * Rows can also come from elsewhere: logical replication carries no sequences,
 * and a dump of tables alone has none either.  So a session compares the
 * sequence with the newest event of every partition before its first append.
 * After that the sequence can only fall behind if rows are loaded beside
 * running appends, which the check against the partition's tail still catches.
 */
#include "postgres.h"

#include "event.h"
#include "partition.h"
#include "position.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * Reads the sequence's only row by itself: pg_sequence_last_value() would ask
 * for rights on the sequence, which readers of events need not have.
 */
int64
sierra_position_last(const SierraStore *store)
{
	Relation rel = relation_open(store->global_position, AccessShareLock);
	Buffer buffer = ReadBuffer(rel, 0);
	Page page;
	Form_pg_sequence_data row;
	int64 last;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	row = (Form_pg_sequence_data) ((char *) PageGetItem(page, PageGetItemId(page, 1)) +
								   ((HeapTupleHeader) PageGetItem(page, PageGetItemId(page, 1)))
									   ->t_hoff);
	last = row->is_called ? row->last_value : row->last_value - 1;
	UnlockReleaseBuffer(buffer);
	relation_close(rel, AccessShareLock);
	return last;
}

static int64
newest_position(const SierraStore *store)
{
	int64 newest = SIERRA_NONE;

	for (int i = 0; i < store->partitions; i++)
	{
		Relation leaf = sierra_scan_open_leaf(store, i, AccessShareLock);
		SierraScan scan;

		sierra_scan_begin(&scan, leaf, sierra_scan_open_index(leaf, SIERRA_INDEX_SEQUENCE), true,
						  SnapshotSelf, 0);
		sierra_scan_rescan(&scan, NULL);
		if (sierra_scan_next(&scan, BackwardScanDirection))
			newest = Max(newest, sierra_slot_int8(scan.slot, Anum_events_global_position));
		sierra_scan_end(&scan);
		relation_close(leaf, AccessShareLock);
	}
	return newest;
}

static Oid
owner_of(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* setval() as the owner: who may append need not have rights on the sequence. */
static void
set_sequence(Oid sequence, int64 position)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(sequence), context | SECURITY_LOCAL_USERID_CHANGE);
	DirectFunctionCall2(setval_oid, ObjectIdGetDatum(sequence), Int64GetDatum(position));
	SetUserIdAndSecContext(user, context);
}

static void
catch_up(const SierraStore *store)
{
	int64 newest;

	sierra_partition_lock_store(store->global_position);
	newest = newest_position(store);
	if (sierra_position_last(store) < newest)
		set_sequence(store->global_position, newest);
}

void
sierra_position_check(const SierraStore *store)
{
	if (sierra_store_position_checked(store))
		return;
	if (sierra_position_last(store) < newest_position(store))
		catch_up(store);
	sierra_store_set_position_checked(store);
}

int64
sierra_position_next(const SierraStore *store, int64 tail)
{
	int64 position = nextval_internal(store->global_position, false);

	while (position <= tail)
	{
		catch_up(store);
		position = nextval_internal(store->global_position, false);
	}
	return position;
}
