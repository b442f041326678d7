/*
 * read_all.c
 *		Reads the whole store in the order of global positions.
 *
 * It merges the partitions, each of which is read in the order of its sequence.
 * Positions do not have an index.  But they ascend with sequences, so the place to
 * start at in a partition is searched by sequence.  The session remembers where its
 * last page ended in each partition, so a reader that continues there does not have to
 * search.
 */
#include "postgres.h"

#include "read/partition_cursor.h"
#include "read/read_all.h"
#include "store/event.h"

#include "access/relation.h"
#include "lib/binaryheap.h"
#include "utils/snapmgr.h"

/*
 * Where the last page of this session ended: in partition i, the event with sequence
 * passed[i] is at or below position.  This is only a hint and is checked before use.
 */
static struct
{
	Oid events;
	int64 position;
	int64 passed[SIERRA_PARTITIONS_MAX];
} last_page;

/* How many events are skipped between two calls of goes_on. */
#define ASK_EVERY 1024

/* One reading of the whole store. */
typedef struct Merge
{
	const SierraStore *store;
	const SierraReadAll *request;
	SierraSource *sources; /* by partition */
	int64 *passed;		   /* by partition: highest sequence at or below the position reached */
	int64 horizon;
	bool has_results;
	binaryheap *heap; /* sources with a current row */
} Merge;

static bool
request_wants(const SierraReadAll *request, TupleTableSlot *slot)
{
	return sierra_filter_passes(&request->streams, &request->event_names, slot) &&
		   (request->wants == NULL || request->wants(request->arg, slot));
}

/* The position after which the request begins in a partition. */
static int64
start_of(const SierraReadAll *request, int partition)
{
	return request->after_by_partition ? request->after_by_partition[partition] : request->after;
}

static bool
is_left_out(const SierraReadAll *request, int partition)
{
	return request->after_by_partition && request->after_by_partition[partition] == SIERRA_NOT_READ;
}

/* The heap keeps its greatest element first, so the order is reversed for reading forward. */
static int
compare_forward(Datum a, Datum b, void *arg)
{
	int64 left = ((SierraSource *) DatumGetPointer(a))->position;
	int64 right = ((SierraSource *) DatumGetPointer(b))->position;

	return left < right ? 1 : left > right ? -1 : 0;
}

static int
compare_backward(Datum a, Datum b, void *arg)
{
	return -compare_forward(a, b, arg);
}

static void
open_sources(Merge *merge)
{
	int partitions = merge->store->partitions;
	SierraReadPartition **opened = palloc(sizeof(SierraReadPartition *) * partitions);
	int count = 0;

	merge->sources = palloc0(sizeof(SierraSource) * partitions);
	merge->passed = palloc(sizeof(int64) * partitions);
	sierra_store_lock(merge->store);
	for (int i = 0; i < partitions; i++)
	{
		SierraReadPartition *partition = &merge->sources[i].partition;

		merge->passed[i] = SIERRA_NONE;
		if (is_left_out(merge->request, i))
			continue;
		partition->rel = sierra_scan_open_partition(merge->store, i, AccessShareLock);
		partition->sequence_index = sierra_scan_open_index(partition->rel, SIERRA_INDEX_SEQUENCE);
		opened[count++] = partition;
	}
	merge->horizon = sierra_horizon(merge->store, opened, count);
	pfree(opened);
}

static void
close_sources(Merge *merge)
{
	for (int i = 0; i < merge->store->partitions; i++)
	{
		SierraSource *source = &merge->sources[i];

		if (source->partition.rel == NULL)
			continue;
		sierra_source_end(source);
		index_close(source->partition.sequence_index, AccessShareLock);

		/*
		 * Keep the locks if there are results, because they may point into the TOAST table.
		 * Otherwise release them: the caller may wait next, and must not block DDL.
		 */
		relation_close(source->partition.rel, merge->has_results ? NoLock : AccessShareLock);
	}
	if (!merge->has_results)
		sierra_store_unlock(merge->store);
}

/*
 * Steps over rows at or below position after; *passed is the sequence of the last.
 * False if there are more than limit of them, or no row above them.
 */
static bool
step_past(SierraSource *source, int64 after, int64 limit, int64 *passed)
{
	for (; source->position <= after; limit--)
	{
		*passed = source->sequence;
		if (limit == 0 || !sierra_source_advance(source))
			return false;
	}
	return true;
}

/* Makes the first row above the request's position current; false if there is none. */
static bool
start_forward(SierraSource *source, int64 after, int64 hint, int64 *passed)
{
	/* The hint is right if its row is at or below the position and one of the next is not. */
	if (hint >= 0 && sierra_source_start(source, hint, ForwardScanDirection))
	{
		*passed = SIERRA_NONE;
		if (step_past(source, after, SIERRA_SEARCH_ENOUGH, passed) && *passed != SIERRA_NONE)
			return true;
	}
	*passed = sierra_source_search(source, after);
	return sierra_source_start(source, *passed + 1, ForwardScanDirection) &&
		   step_past(source, after, PG_INT64_MAX, passed);
}

/* Makes the last row at or below a position current; false if there is none. */
static bool
start_backward(SierraSource *source, int64 position)
{
	int64 newest = source->partition.sequence;
	int64 place = sierra_source_search(source, position);

	/* Not beyond the newest, which may be the highest number there is. */
	place = Min(place, newest - SIERRA_SEARCH_ENOUGH) + SIERRA_SEARCH_ENOUGH;
	if (!sierra_source_start(source, place, BackwardScanDirection))
		return false;
	while (source->position > position)
	{
		if (!sierra_source_advance(source))
			return false;
	}
	return true;
}

/* How many rows of each partition will probably be needed. */
static int64
expected_rows(const Merge *merge)
{
	return Min(merge->request->expected_rows / merge->store->partitions, 1000) * 3 / 2 + 16;
}

static void
start_all_forward(Merge *merge)
{
	bool hinted = last_page.events == merge->store->events;

	for (int i = 0; i < merge->store->partitions; i++)
	{
		SierraSource *source = &merge->sources[i];
		int64 after = start_of(merge->request, i);
		int64 hint = hinted && last_page.position <= after ? last_page.passed[i] : SIERRA_NONE;

		if (source->partition.rel == NULL)
			continue;
		merge->passed[i] = source->partition.sequence;
		if (source->partition.position <= after)
			continue;
		sierra_source_begin(source, expected_rows(merge));
		if (start_forward(source, after, hint, &merge->passed[i]) &&
			source->position <= merge->horizon)
			binaryheap_add_unordered(merge->heap, PointerGetDatum(source));
	}
	binaryheap_build(merge->heap);
}

static void
start_all_backward(Merge *merge)
{
	int64 after = merge->request->after;
	int64 start = after < 0 ? merge->horizon : Min(merge->horizon, after - 1);

	for (int i = 0; i < merge->store->partitions; i++)
	{
		SierraSource *source = &merge->sources[i];

		if (source->partition.sequence == SIERRA_NONE)
			continue;
		sierra_source_begin(source, expected_rows(merge));
		if (start_backward(source, start))
			binaryheap_add_unordered(merge->heap, PointerGetDatum(source));
	}
	binaryheap_build(merge->heap);
}

/* Remembers where a page that read up to position ended. */
static void
remember_page(const Merge *merge, int64 position)
{
	/* An error in between must not leave a mixture of two pages. */
	last_page.events = InvalidOid;
	memcpy(last_page.passed, merge->passed, sizeof(int64) * merge->store->partitions);
	last_page.position = position;
	last_page.events = merge->store->events;
}

/*
 * Puts the rows of all sources into the sink, in the order of their positions.
 * Returns the position up to which all of them have been read.
 */
static int64
merge_sources(Merge *merge, SierraSink *sink)
{
	const SierraReadAll *request = merge->request;
	int64 end = Max(merge->horizon, request->after);
	int unwanted = 0;

	while (!binaryheap_empty(merge->heap))
	{
		SierraSource *first = (SierraSource *) DatumGetPointer(binaryheap_first(merge->heap));
		bool stop;

		merge->passed[first - merge->sources] = first->sequence;
		if (request_wants(request, first->scan.slot))
		{
			merge->has_results = true;
			stop = !sink->put(sink, first->scan.slot);
		}
		else
			stop = request->goes_on != NULL && ++unwanted % ASK_EVERY == 0 &&
				   !request->goes_on(request->arg);
		if (stop)
		{
			end = first->position;
			break;
		}
		if (sierra_source_advance(first) && first->position <= merge->horizon)
			binaryheap_replace_first(merge->heap, PointerGetDatum(first));
		else
			binaryheap_remove_first(merge->heap);
	}
	return end;
}

int64
sierra_read_all(const SierraStore *store, const SierraReadAll *request, SierraSink *sink)
{
	Merge merge = {.store = store, .request = request};
	int64 end;

	open_sources(&merge);
	merge.heap = binaryheap_allocate(store->partitions,
									 request->backward ? compare_backward : compare_forward, NULL);
	if (request->backward)
		start_all_backward(&merge);
	else
		start_all_forward(&merge);
	end = merge_sources(&merge, sink);
	if (!request->backward)
		remember_page(&merge, end);
	binaryheap_free(merge.heap);
	close_sources(&merge);
	return end;
}

int64
sierra_read_horizon(const SierraStore *store)
{
	SierraReadAll request = {.after = SIERRA_NONE};
	Merge merge = {.store = store, .request = &request};

	open_sources(&merge);
	close_sources(&merge);
	return merge.horizon;
}
