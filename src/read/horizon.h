/*
 * horizon.h
 *		The horizon: up to which position the whole store can be read without skipping
 *		an event.
 */
#ifndef SIERRA_HORIZON_H
#define SIERRA_HORIZON_H

#include "store/store.h"

#include "executor/tuptable.h"
#include "storage/block.h"
#include "utils/relcache.h"

/* A partition that is open for reading. */
typedef struct SierraReadPartition
{
	Relation rel;
	Relation sequence_index;
	int64 sequence;	   /* of the newest event that the active snapshot sees, or SIERRA_NONE */
	int64 position;	   /* of that event, or SIERRA_NONE */
	BlockNumber block; /* of that event, if there is one */
} SierraReadPartition;

/* The row in the slot, which is one of the partition, is its newest event. */
extern void sierra_read_partition_set_newest(SierraReadPartition *partition, TupleTableSlot *slot);

/*
 * The highest global position such that the active snapshot sees each event of these
 * partitions, also of transactions that are still to commit, up to this position.
 * The partitions are all of the store, or those that the caller reads.  Fills their
 * members sequence, position and block.
 *
 * Under SERIALIZABLE the partitions count as read to their ends: an append to one of
 * them, before or after this call, is a conflict unless the snapshot sees it.
 *
 * Horizons of one store do not ascend where writers announce nothing, because the server
 * does not preload the library: a writer that has not written yet may write anywhere above
 * the newest row of its partition.  So a caller that relies on an earlier horizon passes it
 * as reached, otherwise SIERRA_NONE.  Then the result is not below it: the call waits until
 * such writers have written or ended, which is a moment.
 *
 * Raises 0A000 where writers do not hold partition locks: on a physical standby, and
 * in a store that logical replication writes to.
 */
extern int64 sierra_horizon(const SierraStore *store, SierraReadPartition *const *partitions,
							int count, int64 reached);

/*
 * Is another transaction writing an event, at this position or below, that the active
 * snapshot does not see?  Looks only into partitions i with wanted[i].  The position
 * has been taken already, by any transaction.  Waits for a transaction that has not
 * written yet if that cannot be known otherwise.
 */
extern bool sierra_horizon_in_flight(const SierraStore *store, const bool *wanted, int64 position);

#endif /* SIERRA_HORIZON_H */
