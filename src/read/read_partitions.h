/*
 * read_partitions.h
 *		All partitions of a store, open for a read up to the horizon.
 */
#ifndef SIERRA_READ_PARTITIONS_H
#define SIERRA_READ_PARTITIONS_H

#include "read/horizon.h"

typedef struct SierraReadPartitions
{
	const SierraStore *store;
	SierraReadPartition *partitions; /* by partition id; rel is NULL if it is left out */
	int64 horizon;					 /* of those that are not left out */
} SierraReadPartitions;

/* By partition, instead of a position: the partition is left out. */
#define SIERRA_NOT_READ PG_INT64_MAX

/*
 * Opens the partitions except those i with after[i] == SIERRA_NOT_READ; after can be NULL.
 * reached and errors are those of sierra_horizon().
 */
extern void sierra_read_partitions_open(SierraReadPartitions *opened, const SierraStore *store,
										const int64 *after, int64 reached);

/* Keeps the locks if there are results. */
extern void sierra_read_partitions_close(SierraReadPartitions *opened, bool has_results);

#endif /* SIERRA_READ_PARTITIONS_H */
