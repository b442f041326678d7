/*
 * event_lookup.c
 *		Finds many events by partition and sequence.
 */
#include "postgres.h"

#include "read/event_lookup.h"
#include "store/scan.h"

void
sierra_event_lookup_begin(SierraEventLookup *lookup, const SierraStore *store,
						  SierraReadPartition *partitions, Snapshot snapshot)
{
	lookup->store = store;
	lookup->partitions = partitions;
	lookup->snapshot = snapshot;
	lookup->found = NULL;
	lookup->searches = palloc0(sizeof(SierraSequenceSearch) * store->partitions);
}

static void
begin_search(SierraEventLookup *lookup, int id)
{
	SierraReadPartition *partition = &lookup->partitions[id];

	if (partition->rel == NULL)
	{
		partition->rel = sierra_scan_open_partition(lookup->store, id, AccessShareLock);
		partition->sequence_index = sierra_scan_open_index(partition->rel, SIERRA_INDEX_SEQUENCE);
	}
	sierra_sequence_search_begin(&lookup->searches[id], partition->rel, partition->sequence_index,
								 lookup->snapshot);
}

TupleTableSlot *
sierra_event_lookup_find(SierraEventLookup *lookup, int32 partition, int64 sequence)
{
	SierraSequenceSearch *search;

	/* The server finds pins of more than a few pages slowly. */
	if (lookup->found != NULL)
		ExecClearTuple(lookup->found);
	lookup->found = NULL;
	if (partition < 0 || partition >= lookup->store->partitions)
		return NULL;
	search = &lookup->searches[partition];
	if (search->rel == NULL)
		begin_search(lookup, partition);
	if (sierra_sequence_search_fetch(search, sequence))
		lookup->found = search->slot;
	return lookup->found;
}

void
sierra_event_lookup_end(SierraEventLookup *lookup)
{
	for (int i = 0; i < lookup->store->partitions; i++)
	{
		if (lookup->searches[i].rel != NULL)
			sierra_sequence_search_end(&lookup->searches[i]);
	}
}
