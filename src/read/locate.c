/*
 * locate.c
 *		Finds events by their global position.
 *
 * Within a partition, positions ascend with sequences.  So an event is searched by
 * sequence, as in read_all.c.
 */
#include "postgres.h"

#include "read/locate.h"
#include "store/event.h"

#include "access/relation.h"
#include "utils/snapmgr.h"

static bool
find_newest(SierraReadPartition *partition)
{
	SierraScan scan;
	bool found;

	sierra_scan_begin(&scan, partition->rel, partition->sequence_index, false, GetActiveSnapshot(),
					  0);
	found = sierra_scan_last(&scan, NULL);
	if (found)
		sierra_read_partition_set_newest(partition, scan.slot);
	sierra_scan_end(&scan);
	return found;
}

/* Opens a partition; false if the active snapshot sees no event in it. */
static bool
open_source(const SierraStore *store, int id, SierraSource *source)
{
	SierraReadPartition *partition = &source->partition;

	memset(source, 0, sizeof(*source));
	sierra_store_lock(store);
	partition->rel = sierra_scan_open_partition(store, id, AccessShareLock);
	partition->sequence_index = sierra_scan_open_index(partition->rel, SIERRA_INDEX_SEQUENCE);
	if (!find_newest(partition))
		return false;
	sierra_source_begin(source, SIERRA_SEARCH_ENOUGH);
	return true;
}

static void
close_source(const SierraStore *store, SierraSource *source)
{
	sierra_source_end(source);
	index_close(source->partition.sequence_index, AccessShareLock);
	/* Release the locks: results of this file do not point into the TOAST table. */
	relation_close(source->partition.rel, AccessShareLock);
	sierra_store_unlock(store);
}

/* Makes the first row at or above a position current. */
static bool
find_place(SierraSource *source, int64 position)
{
	int64 place;

	if (position > source->partition.position)
		return false;
	if (!sierra_source_start_on_page(source, SIERRA_BY_POSITION, position - 1, InvalidBlockNumber,
									 &place))
	{
		place = sierra_source_search_index(source, position - 1);
		if (!sierra_source_start(source, place + 1, ForwardScanDirection))
			return false;
	}
	while (source->position < position)
	{
		if (!sierra_source_advance(source))
			return false;
	}
	return true;
}

bool
sierra_locate(const SierraStore *store, int64 position, SierraSink *sink)
{
	bool found = false;

	for (int i = 0; i < store->partitions && !found; i++)
	{
		SierraSource source;

		found = open_source(store, i, &source) && find_place(&source, position) &&
				source.position == position;
		if (found)
			sink->put(sink, source.scan.slot);
		close_source(store, &source);
	}
	return found;
}

int64
sierra_locate_first_after(const SierraStore *store, int partition, int64 position)
{
	SierraSource source;
	int64 sequence = SIERRA_NONE;

	if (open_source(store, partition, &source) && find_place(&source, position + 1))
		sequence = source.sequence;
	close_source(store, &source);
	return sequence;
}

int64
sierra_locate_count_after(const SierraStore *store, int partition, int64 position)
{
	SierraSource source;
	int64 count;

	sierra_locate_begin(store, partition, &source);
	count = sierra_locate_count(&source, position);
	sierra_locate_end(store, &source);
	return count;
}

void
sierra_locate_begin(const SierraStore *store, int partition, SierraSource *source)
{
	(void) open_source(store, partition, source);
}

int64
sierra_locate_count(SierraSource *source, int64 position)
{
	if (!source->scanning || !find_place(source, position + 1))
		return 0;
	return source->partition.sequence - source->sequence + 1;
}

void
sierra_locate_end(const SierraStore *store, SierraSource *source)
{
	close_source(store, source);
}
