/*
 * horizon.c
 *		The horizon: up to which position the whole store can be read without skipping
 *		an event.
 *
 * Within a partition, positions ascend with sequences, and a snapshot sees all events
 * up to some sequence and none after it.  Across partitions that is not so: an append
 * can take position 7 and commit after another append has committed position 8.  Only
 * a transaction that holds a partition lock in mode WRITE can do that, so readers have
 * to look only at partitions and their locks:
 *
 *	1. Read the last position S that was taken from the sequence of the store.  A
 *	   transaction that takes a position later gets a higher one.
 *	2. For each partition, look whether its lock is held in mode WRITE, and after that
 *	   look at its newest rows, also uncommitted ones (SnapshotDirty):
 *	   a. There is a row that the active snapshot does not see; the first one has
 *		  position q.  It is uncommitted, or was committed after the snapshot was
 *		  taken.  All events of this partition that the snapshot does not see have
 *		  position q or a higher one.  The bound is q - 1.
 *	   b. There is no such row, but the lock is held.  Its holder has not written yet.
 *		  It will write above the position p of the newest row, and above the position
 *		  a that it has announced in shared memory.  The bound is the higher of both.
 *	   c. There is no such row, and the lock is not held.  A transaction that locks
 *		  the partition later takes positions above S.  There is no bound.  This is
 *		  also the case while an append waits for its locks: it takes mode WRITE only
 *		  when it has all of them, and then takes its positions.
 *	3. The horizon is the lowest of S and the bounds.
 *
 * The snapshot may be older than step 1, because it is that of the statement, or of
 * the transaction under REPEATABLE READ.  This is why rule a also applies to committed
 * rows.  A lock is released only after the rows of its holder have become visible, or
 * have been rolled back.  So if a lock is not held in step 2, step 2 finds all rows of
 * its earlier holders.  A prepared transaction keeps its lock and counts as a holder.
 */
#include "postgres.h"

#include "base/compat.h"
#include "read/horizon.h"
#include "store/event.h"
#include "store/partition_lock.h"
#include "store/position.h"
#include "store/position_sequence.h"
#include "store/scan.h"
#include "wakeup/announce.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/predicate.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static void
refuse_replicas(const SierraStore *store)
{
	if (RecoveryInProgress())
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot read the whole store in order during recovery"),
				errdetail("A standby does not know which appends are in progress on the primary."),
				errhint("Read partition by partition with epscan(), or read on the primary."));
	if (store->subscribed)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot read the whole store in order while logical replication writes to "
					   "it"),
				errdetail("A subscriber does not know which appends are in progress on the "
						  "publisher."),
				errhint("Read partition by partition with epscan(), or drop the subscription."));
}

/* Looks for rows of one partition, as of SnapshotDirty. */
typedef struct Probe
{
	Relation rel;
	SnapshotData dirty;
	SierraScan scan;
} Probe;

/* Finds the row with this sequence, committed or in progress. */
static bool
fetch_sequence(Probe *probe, int64 sequence)
{
	ScanKeyData key;

	sierra_scan_key_int8(&key, 1, BTEqualStrategyNumber, sequence);
	sierra_scan_rescan(&probe->scan, &key);
	return sierra_scan_next(&probe->scan, ForwardScanDirection);
}

static bool
is_visible(Relation rel, TupleTableSlot *slot)
{
	return table_tuple_satisfies_snapshot(rel, slot, GetActiveSnapshot());
}

void
sierra_read_partition_set_newest(SierraReadPartition *partition, TupleTableSlot *slot)
{
	partition->sequence = sierra_event_sequence(slot);
	partition->position = sierra_event_position(slot);
	partition->block = ItemPointerGetBlockNumberNoCheck(&slot->tts_tid);
}

/*
 * Finds the highest sequence that the active snapshot sees, if it does not see the
 * newest one.  It sees all rows up to some sequence, so steps that double lead back
 * from the end to a row that it sees; from there on, bisect.
 */
static void
find_visible_end(Probe *probe, int64 newest, SierraReadPartition *partition)
{
	int64 seen = SIERRA_NONE;
	int64 unseen = newest;

	for (int64 step = 1; newest - step > SIERRA_NONE; step *= 2)
	{
		if (fetch_sequence(probe, newest - step) && is_visible(probe->rel, probe->scan.slot))
		{
			seen = newest - step;
			sierra_read_partition_set_newest(partition, probe->scan.slot);
			break;
		}
		unseen = newest - step;
	}
	while (unseen - seen > 1)
	{
		int64 middle = seen + (unseen - seen) / 2;

		if (fetch_sequence(probe, middle) && is_visible(probe->rel, probe->scan.slot))
		{
			seen = middle;
			sierra_read_partition_set_newest(partition, probe->scan.slot);
		}
		else
			unseen = middle;
	}
}

/* Rule a: the bound of the first row that the snapshot does not see. */
static int64
bound_of_unseen(Probe *probe, SierraReadPartition *partition, int64 floor)
{
	if (fetch_sequence(probe, partition->sequence + 1))
		return sierra_event_position(probe->scan.slot) - 1;

	/*
	 * The row has been rolled back since, so rule b or c applies: the next writer writes
	 * above the newest row.
	 */
	return Max(partition->position, floor);
}

/* Puts the newest row of a partition, committed or in progress, into a slot. */
static bool
find_newest(const SierraReadPartition *partition, TupleTableSlot *slot)
{
	SnapshotData dirty;
	SierraScan scan;
	bool found;

	InitDirtySnapshot(dirty);
	if (sierra_scan_fetch_end(partition->rel, partition->sequence_index, &dirty, slot))
		return true;
	sierra_scan_begin(&scan, partition->rel, partition->sequence_index, false, &dirty, 0);
	found = sierra_scan_last(&scan, NULL);
	if (found)
		ExecCopySlot(slot, scan.slot);
	sierra_scan_end(&scan);
	return found;
}

/* Steps 2a and 2b, if the snapshot does not see the newest row, which has this sequence. */
static int64
bound_below(SierraReadPartition *partition, int64 newest, int64 floor)
{
	Probe probe = {.rel = partition->rel};
	int64 bound;

	InitDirtySnapshot(probe.dirty);
	sierra_scan_begin(&probe.scan, partition->rel, partition->sequence_index, false, &probe.dirty,
					  1);
	find_visible_end(&probe, newest, partition);
	bound = bound_of_unseen(&probe, partition, floor);
	sierra_scan_end(&probe.scan);
	return bound;
}

/* Step 2 for one partition; floor is that of its writer. */
static int64
bound_of_partition(SierraReadPartition *partition, int64 floor)
{
	TupleTableSlot *newest = table_slot_create(partition->rel, NULL);
	int64 bound;

	partition->sequence = partition->position = SIERRA_NONE;
	if (!find_newest(partition, newest))
		bound = floor;
	else if (is_visible(partition->rel, newest))
	{
		sierra_read_partition_set_newest(partition, newest);
		bound = Max(partition->position, floor);
	}
	else
		bound = bound_below(partition, sierra_event_sequence(newest), floor);
	ExecDropSingleTupleTableSlot(newest);
	return bound;
}

/*
 * The probes above neither leave predicate locks nor find conflicts, because they do not
 * use the active snapshot.  So under SERIALIZABLE an ordinary scan reads the rows that
 * the snapshot does not see.  It returns none of them, but notes a conflict with the
 * transaction that wrote it.  Rows that are written later are found by the lock, which
 * is taken before the probes.
 */
static void
note_conflicts(const SierraReadPartition *partition)
{
	SierraScan scan;
	ScanKeyData key;

	sierra_scan_key_int8(&key, 1, BTGreaterEqualStrategyNumber, partition->sequence + 1);
	sierra_scan_begin(&scan, partition->rel, partition->sequence_index, false, GetActiveSnapshot(),
					  1);
	sierra_scan_rescan(&scan, &key);
	(void) sierra_scan_next(&scan, ForwardScanDirection);
	sierra_scan_end(&scan);
}

/*
 * The server does not see that a session waits here.  So it does not find out that the
 * writer waits for this session, if a trigger or a policy of the table waits for a lock.
 */
static void
refuse_deadlock(VirtualTransactionId writer)
{
	int writing = sierra_compat_process_of(writer);
	List *waiting = list_make1_int(writing);

	for (int i = 0; i < list_length(waiting); i++)
	{
		ArrayType *blocking = DatumGetArrayTypeP(
			DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(list_nth_int(waiting, i))));
		const int32 *pids = (const int32 *) ARR_DATA_PTR(blocking);
		int count = ArrayGetNItems(ARR_NDIM(blocking), ARR_DIMS(blocking));

		for (int n = 0; n < count; n++)
		{
			if (pids[n] == MyProcPid)
				ereport(ERROR, errcode(ERRCODE_T_R_DEADLOCK_DETECTED), errmsg("deadlock detected"),
						errdetail("Process %d waits for this session, which waits for the first "
								  "event that it appends.",
								  writing),
						errhint("End the transaction before you read, or release the lock."));
			waiting = list_append_unique_int(waiting, pids[n]);
		}
		pfree(blocking);
	}
	list_free(waiting);
}

/*
 * Waits until this writer of a partition has written or ended, and returns the bound by
 * then.  Another writer after it takes positions above S.
 */
static int64
wait_for_first_row(SierraReadPartition *partition, VirtualTransactionId writer)
{
	TimestampTz looked = GetCurrentTimestamp();

	for (;;)
	{
		VirtualTransactionId other = writer;
		bool written = sierra_partition_written_by_other(RelationGetRelid(partition->rel), &other);
		int64 bound = bound_of_partition(partition, PG_INT64_MAX);

		if (bound != PG_INT64_MAX || !written || !VirtualTransactionIdEquals(writer, other))
			return bound;
		if (TimestampDifferenceExceeds(looked, GetCurrentTimestamp(), DeadlockTimeout))
		{
			refuse_deadlock(writer);
			looked = GetCurrentTimestamp();
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Step 2; an earlier horizon was reached. */
static int64
bound_with_writer(const SierraStore *store, SierraReadPartition *partition, int64 reached)
{
	VirtualTransactionId writer;
	int64 bound;

	if (!sierra_partition_written_by_other(RelationGetRelid(partition->rel), &writer))
		return bound_of_partition(partition, PG_INT64_MAX);
	bound = bound_of_partition(partition, sierra_announced(store, writer));
	if (bound >= reached)
		return bound;
	return wait_for_first_row(partition, writer);
}

int64
sierra_horizon(const SierraStore *store, SierraReadPartition *const *partitions, int count,
			   int64 reached)
{
	int64 last;
	int64 newest = SIERRA_NONE;
	int64 horizon = PG_INT64_MAX;

	refuse_replicas(store);
	for (int i = 0; i < count && IsolationIsSerializable(); i++)
		PredicateLockRelation(partitions[i]->sequence_index, GetActiveSnapshot());
	last = sierra_position_last(store);

	/* No horizon was above the last position. */
	if (reached > last)
		reached = SIERRA_NONE;
	for (int i = 0; i < count; i++)
	{
		/* Not inside Min(), which would evaluate it twice, with results that may differ. */
		int64 bound = bound_with_writer(store, partitions[i], reached);

		horizon = Min(horizon, bound);
		newest = Max(newest, partitions[i]->position);
	}

	for (int i = 0; i < count && IsolationIsSerializable(); i++)
		note_conflicts(partitions[i]);

	/*
	 * If rows were loaded without their sequence, S may be too low.  The next append
	 * corrects the sequence before it takes a position, so that is above these rows.
	 */
	last = Max(last, newest);

	/* A trigger, policy or constraint may read while this session is writing events. */
	horizon = Min(horizon, sierra_position_being_written(store) - 1);
	return Min(last, horizon);
}

/*
 * Only the writer of a partition has events in flight, and the first one that it has
 * written says enough.  If it has not written yet, it may have taken this position or
 * a lower one, unless it announced a higher one.  Then only its end shows where it wrote.
 */
static bool
partition_in_flight(const SierraStore *store, int id, int64 position)
{
	SierraReadPartition partition = {0};
	VirtualTransactionId writer;
	int64 bound;

	if (!sierra_partition_written_by_other(store->partition_oids[id], &writer))
		return false;
	sierra_store_lock(store);
	partition.rel = sierra_scan_open_partition(store, id, AccessShareLock);
	partition.sequence_index = sierra_scan_open_index(partition.rel, SIERRA_INDEX_SEQUENCE);
	bound = bound_of_partition(&partition, PG_INT64_MAX);
	if (bound == PG_INT64_MAX &&
		Max(partition.position, sierra_announced(store, writer)) < position)
	{
		(void) VirtualXactLock(writer, true);
		bound = bound_of_partition(&partition, PG_INT64_MAX);
	}
	index_close(partition.sequence_index, AccessShareLock);
	relation_close(partition.rel, AccessShareLock);
	sierra_store_unlock(store);
	return bound < position;
}

bool
sierra_horizon_in_flight(const SierraStore *store, const bool *wanted, int64 position)
{
	for (int i = 0; i < store->partitions; i++)
	{
		if (wanted[i] && partition_in_flight(store, i, position))
			return true;
	}
	return false;
}
