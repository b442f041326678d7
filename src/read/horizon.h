/*
 * horizon.h
 *		How far the whole store can be read without skipping an event.
 */
#ifndef SIERRA_HORIZON_H
#define SIERRA_HORIZON_H

#include "store/store.h"

#include "utils/relcache.h"

/* A partition that is open for reading. */
typedef struct SierraReadPartition
{
	Relation rel;
	Relation sequence_index;
	int64 sequence; /* of the newest event the active snapshot sees, or SIERRA_NONE */
	int64 position; /* of that event, or SIERRA_NONE */
} SierraReadPartition;

/*
 * The highest global position below which the active snapshot sees all there
 * is and all there will ever be in these partitions: all of the store, or those
 * that the caller reads.  Fills sequence and position of the partitions.
 *
 * Raises 0A000 where the partition locks are not: on a physical standby, and in
 * a store that logical replication writes to.
 */
extern int64 sierra_horizon(const SierraStore *store, SierraReadPartition *const *partitions,
							int count);

/*
 * Is there an event at this position or below that the active snapshot cannot see yet,
 * in the partitions wanted?
 */
extern bool sierra_horizon_in_flight(const SierraStore *store, const bool *wanted, int64 position);

#endif /* SIERRA_HORIZON_H */
