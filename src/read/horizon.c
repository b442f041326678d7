/*
 * horizon.c
 *		The horizon: up to which position the whole store can be read without skipping
 *		an event.
 *
 * Within a partition, positions ascend with sequences, and a snapshot sees all events
 * up to some sequence and none after it.  Across partitions that is not so: an append
 * can take position 7 and commit after another append has committed position 8.  Only
 * a transaction that holds a partition lock can do that, so readers have to look only
 * at partitions and their locks:
 *
 *	1. Read the last position S that was taken from the sequence of the store.  A
 *	   transaction that takes a position later gets a higher one.
 *	2. For each partition, look whether its lock is held, and after that look at its
 *	   newest rows, also uncommitted ones (SnapshotDirty):
 *	   a. There is a row that the active snapshot does not see; the first one has
 *		  position q.  It is uncommitted, or was committed after the snapshot was
 *		  taken.  All events of this partition that the snapshot does not see have
 *		  position q or a higher one.  The bound is q - 1.
 *	   b. There is no such row, but the lock is held.  Its holder has not written yet
 *		  and will write above the position p of the newest row.  The bound is p.
 *	   c. There is no such row, and the lock is not held.  A transaction that locks
 *		  the partition later takes positions above S.  There is no bound.
 *	3. The horizon is the lowest of S and the bounds.
 *
 * The snapshot may be older than step 1, because it is that of the statement, or of
 * the transaction under REPEATABLE READ.  This is why rule a also applies to committed
 * rows.  A lock is released only after the rows of its holder have become visible, or
 * have been rolled back.  So if a lock is not held in step 2, step 2 finds all rows of
 * its earlier holders.  A prepared transaction keeps its lock and counts as a holder.
 */
#include "postgres.h"

#include "read/horizon.h"
#include "store/event.h"
#include "store/partition_lock.h"
#include "store/position.h"
#include "store/position_sequence.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

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

/* The newest rows of one partition, as of SnapshotDirty. */
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
is_visible(Probe *probe)
{
	return table_tuple_satisfies_snapshot(probe->rel, probe->scan.slot, GetActiveSnapshot());
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
		if (fetch_sequence(probe, newest - step) && is_visible(probe))
		{
			seen = newest - step;
			partition->position = sierra_slot_int8(probe->scan.slot, Anum_events_global_position);
			break;
		}
		unseen = newest - step;
	}
	while (unseen - seen > 1)
	{
		int64 middle = seen + (unseen - seen) / 2;

		if (fetch_sequence(probe, middle) && is_visible(probe))
		{
			seen = middle;
			partition->position = sierra_slot_int8(probe->scan.slot, Anum_events_global_position);
		}
		else
			unseen = middle;
	}
	partition->sequence = seen;
}

/* Rule a: the bound of the first row that the snapshot does not see. */
static int64
bound_of_unseen(Probe *probe, SierraReadPartition *partition, bool locked)
{
	if (fetch_sequence(probe, partition->sequence + 1))
		return sierra_slot_int8(probe->scan.slot, Anum_events_global_position) - 1;

	/*
	 * The row has been rolled back since, so rule b or c applies: the next writer writes
	 * above the newest row.
	 */
	return locked ? partition->position : PG_INT64_MAX;
}

/* Step 2 for one partition; rule b only if its lock is held. */
static int64
bound_of_partition(SierraReadPartition *partition, bool locked)
{
	int64 bound = PG_INT64_MAX;
	Probe newest = {.rel = partition->rel};

	partition->sequence = partition->position = SIERRA_NONE;
	InitDirtySnapshot(newest.dirty);
	sierra_scan_begin(&newest.scan, partition->rel, partition->sequence_index, false, &newest.dirty,
					  0);
	sierra_scan_rescan(&newest.scan, NULL);
	if (!sierra_scan_next(&newest.scan, BackwardScanDirection))
		bound = locked ? SIERRA_NONE : PG_INT64_MAX;
	else
	{
		int64 sequence = sierra_slot_int8(newest.scan.slot, Anum_events_partition_sequence);

		if (is_visible(&newest))
		{
			partition->sequence = sequence;
			partition->position = sierra_slot_int8(newest.scan.slot, Anum_events_global_position);
			bound = locked ? partition->position : PG_INT64_MAX;
		}
		else
		{
			Probe probe = {.rel = partition->rel};

			InitDirtySnapshot(probe.dirty);
			sierra_scan_begin(&probe.scan, partition->rel, partition->sequence_index, false,
							  &probe.dirty, 1);
			find_visible_end(&probe, sequence, partition);
			bound = bound_of_unseen(&probe, partition, locked);
			sierra_scan_end(&probe.scan);
		}
	}
	sierra_scan_end(&newest.scan);
	return bound;
}

int64
sierra_horizon(const SierraStore *store, SierraReadPartition *const *partitions, int count)
{
	int64 last;
	int64 newest = SIERRA_NONE;
	int64 horizon = PG_INT64_MAX;

	refuse_replicas(store);
	last = sierra_position_last(store);
	for (int i = 0; i < count; i++)
	{
		/* Not inside Min(), which would evaluate it twice, with results that may differ. */
		bool locked = sierra_partition_written_by_other(RelationGetRelid(partitions[i]->rel));
		int64 bound = bound_of_partition(partitions[i], locked);

		horizon = Min(horizon, bound);
		newest = Max(newest, partitions[i]->position);
	}

	/*
	 * If rows were loaded without their sequence, S may be too low.  The next append
	 * corrects the sequence before it takes a position, so that is above these rows.
	 */
	last = Max(last, newest);

	/* A trigger, policy or constraint may read while this session is writing events. */
	horizon = Min(horizon, sierra_position_being_written(store) - 1);
	return Min(last, horizon);
}

/* Only the holder of a partition lock writes, so the other partitions can be skipped. */
bool
sierra_horizon_in_flight(const SierraStore *store, const bool *wanted, int64 position)
{
	bool in_flight = false;

	for (int i = 0; i < store->partitions && !in_flight; i++)
	{
		SierraReadPartition partition = {0};

		if (!wanted[i] || !sierra_partition_written_by_other(store->partition_oids[i]))
			continue;
		partition.rel = sierra_scan_open_partition(store, i, AccessShareLock);
		partition.sequence_index = sierra_scan_open_index(partition.rel, SIERRA_INDEX_SEQUENCE);
		in_flight = bound_of_partition(&partition, false) < position;
		index_close(partition.sequence_index, AccessShareLock);
		relation_close(partition.rel, AccessShareLock);
	}
	return in_flight;
}
