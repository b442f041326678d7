/*
 * read_partitions.c
 *		All partitions of a store, open for a read up to the horizon.
 */
#include "postgres.h"

#include "read/read_partitions.h"
#include "store/event.h"
#include "store/scan.h"

#include "access/genam.h"
#include "access/relation.h"

void
sierra_read_partitions_open(SierraReadPartitions *opened, const SierraStore *store,
							const int64 *after, int64 reached)
{
	SierraReadPartition **read = palloc(sizeof(SierraReadPartition *) * store->partitions);
	int count = 0;

	opened->store = store;
	opened->partitions = palloc0(sizeof(SierraReadPartition) * store->partitions);
	sierra_store_lock(store);
	for (int i = 0; i < store->partitions; i++)
	{
		SierraReadPartition *partition = &opened->partitions[i];

		partition->sequence = partition->position = SIERRA_NONE;
		if (after != NULL && after[i] == SIERRA_NOT_READ)
			continue;
		partition->rel = sierra_scan_open_partition(store, i, AccessShareLock);
		partition->sequence_index = sierra_scan_open_index(partition->rel, SIERRA_INDEX_SEQUENCE);
		read[count++] = partition;
	}
	opened->horizon = sierra_horizon(store, read, count, reached);
	pfree(read);
}

void
sierra_read_partitions_close(SierraReadPartitions *opened, bool has_results)
{
	for (int i = 0; i < opened->store->partitions; i++)
	{
		SierraReadPartition *partition = &opened->partitions[i];

		if (partition->rel == NULL)
			continue;
		index_close(partition->sequence_index, AccessShareLock);

		/*
		 * Keep the locks if there are results, because they may point into the TOAST table.
		 * Otherwise release them: the caller may wait next, and must not block DDL.
		 */
		relation_close(partition->rel, has_results ? NoLock : AccessShareLock);
	}
	if (!has_results)
		sierra_store_unlock(opened->store);
}
