/*
 * position.c
 *		Global positions: one sequence object per store.
 *
 * Positions are taken under a partition lock, so within a partition they ascend
 * as the sequences do.  A transaction that rolls back leaves a gap in the
 * positions; no reader waits for it.
 *
 * Rows can also come into the tables without their sequence: logical replication
 * does not copy sequences, and a dump of tables alone does not contain them.  So
 * before its first append a session compares the sequence with the newest event of
 * every partition.  A session that loads rows with sierra_es.restore holds all
 * partition locks while it does so, and makes all sessions compare again (guard.c);
 * the end of a logical subscription makes them compare again too (store.c).
 */
#include "postgres.h"

#include "store/event.h"
#include "store/partition_lock.h"
#include "store/position.h"
#include "store/position_sequence.h"
#include "store/run_as.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * The position of the newest event.  Does not wait for a partition that is locked,
 * as by VACUUM FULL, but leaves it out; *complete is false then.
 */
static int64
newest_position(const SierraStore *store, bool *complete)
{
	int64 newest = SIERRA_NONE;

	*complete = true;
	for (int i = 0; i < store->partitions; i++)
	{
		Relation rel;
		Relation index;
		int64 sequence;
		int64 position;

		if (!ConditionalLockRelationOid(store->partition_oids[i], AccessShareLock))
		{
			*complete = false;
			continue;
		}
		rel = sierra_scan_open_partition(store, i, NoLock);
		index = sierra_scan_open_index(rel, SIERRA_INDEX_SEQUENCE);
		if (sierra_scan_newest(rel, index, SnapshotSelf, &sequence, &position))
			newest = Max(newest, position);
		index_close(index, AccessShareLock);
		relation_close(rel, AccessShareLock);
	}
	return newest;
}

/* setval() as the owner: a role that may append need not have rights on the sequence. */
static void
set_sequence(const SierraStore *store, int64 position)
{
	Oid owner = sierra_relation_owner(store->global_position);
	Oid user;
	int context;

	if (!OidIsValid(owner))
		sierra_store_report_missing(NameStr(store->name));
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	DirectFunctionCall2(setval_oid, ObjectIdGetDatum(store->global_position),
						Int64GetDatum(position));
	SetUserIdAndSecContext(user, context);
}

/* Sets the sequence to the newest event if it is behind it; one session at a time. */
static void
catch_up(const SierraStore *store)
{
	int64 newest;
	bool complete;

	sierra_partition_lock(store->global_position, SIERRA_LOCK_WRITE);
	newest = newest_position(store, &complete);

	if (sierra_position_last(store) < newest)
		set_sequence(store, newest);
	sierra_partition_unlock(store->global_position, SIERRA_LOCK_WRITE);
}

void
sierra_position_check(const SierraStore *store)
{
	bool complete;

	if (sierra_store_position_checked(store))
		return;
	if (sierra_position_last(store) < newest_position(store, &complete))
		catch_up(store);
	if (complete)
		sierra_store_set_position_checked(store);
}

/*
 * What this session is writing.  A trigger that appends while its append is not
 * finished adds a level; the innermost is the last.  If an error ends an append,
 * its level is removed with the subtransaction.
 */
#define WRITING_LEVELS 32

static struct
{
	Oid events;
	int64 first;
	SubTransactionId subtransaction;
	bool partition[SIERRA_PARTITIONS_MAX]; /* those that are written */
} writing[WRITING_LEVELS];
static int writing_levels = 0;

static void
forget_at_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		writing_levels = 0;
}

/* Subtransactions with a higher id than the one that aborts are inside it. */
static void
forget_at_abort(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent,
				void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (writing_levels > 0 && writing[writing_levels - 1].subtransaction >= subtransaction)
		writing_levels--;
}

void
sierra_position_begin_writing(const SierraStore *store, int64 first)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(forget_at_end, NULL);
		RegisterSubXactCallback(forget_at_abort, NULL);
		registered = true;
	}
	if (writing_levels == WRITING_LEVELS)
		ereport(ERROR, errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				errmsg("appends are nested too deeply"),
				errdetail("Triggers that append events fired each other more than %d times.",
						  WRITING_LEVELS),
				errhint("Check the triggers on table \"events\" for an endless recursion."));
	writing[writing_levels].events = store->events;
	writing[writing_levels].first = first;
	writing[writing_levels].subtransaction = GetCurrentSubTransactionId();
	memset(writing[writing_levels].partition, 0, sizeof(bool) * store->partitions);
	writing_levels++;
}

void
sierra_position_note_written(int partition)
{
	writing[writing_levels - 1].partition[partition] = true;
}

bool
sierra_position_writes_partition(const SierraStore *store, int partition)
{
	for (int i = 0; i < writing_levels; i++)
	{
		if (writing[i].events == store->events && writing[i].partition[partition])
			return true;
	}
	return false;
}

void
sierra_position_end_writing(void)
{
	writing_levels--;
}

int64
sierra_position_being_written(const SierraStore *store)
{
	int64 first = PG_INT64_MAX;

	for (int i = 0; i < writing_levels; i++)
	{
		if (writing[i].events == store->events)
			first = Min(first, writing[i].first);
	}
	return first;
}

int64
sierra_position_take(const SierraStore *store, int64 count, int64 floor)
{
	int64 first = sierra_position_take_next(store, count);

	while (first <= floor)
	{
		catch_up(store);
		first = sierra_position_take_next(store, count);
	}
	return first;
}
