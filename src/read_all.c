/*
 * read_all.c
 *		The read engine: the whole store, in the order of global positions.
 *
 * Merges the partitions, each read in the order of its sequence.  There is no
 * index on positions: they grow with sequences, so the place to start at in a
 * partition is searched by sequence.  A reader that goes on where its last
 * page ended finds these places in the session's memory of that page.
 */
#include "postgres.h"

#include "compat.h"
#include "event.h"
#include "horizon.h"
#include "pattern.h"
#include "read_all.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "lib/binaryheap.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Rows that are stepped over rather than searched further. */
#define SEARCH_ENOUGH 16

/* A partition while it is merged. */
typedef struct Source
{
	SierraReadLeaf leaf;
	SierraScan scan;
	int64 position; /* of the row in the scan's slot */
	bool scanning;
	int64 passed; /* highest sequence that is known to be at or below the page */
} Source;

/*
 * Where the last page of this session ended: in partition i, sequence
 * passed[i] is at or below position.  A hint only, checked before it is used.
 */
static struct
{
	Oid events;
	int64 position;
	int64 passed[SIERRA_PARTITIONS_MAX];
} last_page;

static bool
filter_passes_text(const SierraFilter *filter, TupleTableSlot *slot, AttrNumber column,
				   bool pattern)
{
	bool isnull;
	text *value;

	if (!filter->given)
		return true;
	value = DatumGetTextPP(slot_getattr(slot, column, &isnull));
	for (int i = 0; i < filter->count; i++)
	{
		const text *item = filter->items[i];

		if (pattern
				? sierra_pattern_matches(VARDATA_ANY(item), VARSIZE_ANY_EXHDR(item),
										 VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value))
				: VARSIZE_ANY_EXHDR(item) == VARSIZE_ANY_EXHDR(value) &&
					  memcmp(VARDATA_ANY(item), VARDATA_ANY(value), VARSIZE_ANY_EXHDR(item)) == 0)
			return true;
	}
	return false;
}

static bool
request_wants(const SierraReadAll *request, TupleTableSlot *slot)
{
	return filter_passes_text(&request->event_names, slot, Anum_events_event_name, false) &&
		   filter_passes_text(&request->streams, slot, Anum_events_stream_id, true);
}

static void
rescan_from(Source *source, StrategyNumber strategy, int64 sequence)
{
	ScanKeyData key;

	sierra_scan_key_int8(&key, 1, strategy, sequence);
	sierra_scan_rescan(&source->scan, &key);
}

/* Steps to the next row of the partition. */
static bool
advance(Source *source, ScanDirection direction)
{
	if (!sierra_scan_next(&source->scan, direction))
		return false;
	source->position = sierra_slot_int8(source->scan.slot, Anum_events_global_position);
	return true;
}

/* The position of one sequence, which the snapshot sees. */
static int64
position_of(Source *source, int64 sequence)
{
	rescan_from(source, BTEqualStrategyNumber, sequence);
	return advance(source, ForwardScanDirection) ? source->position : PG_INT64_MAX;
}

/* Where between two sequences a position should be, if positions are spread evenly. */
static int64
interpolate(int64 low, int64 low_position, int64 high, int64 high_position, int64 position)
{
	return low + (int64) ((double) (high - low) * (position - low_position) /
						  (high_position - low_position));
}

/*
 * A sequence at or below a position, and at most SEARCH_ENOUGH rows below the
 * last such; SIERRA_NONE if it can be that all rows are above.  Streams spread
 * over partitions by a hash, so interpolating comes near in a few steps; a
 * small overshoot brings the other end near too.  Halving now and then bounds
 * the number of steps whatever the positions.
 */
static int64
search_position(Source *source, int64 position)
{
	int64 low = SIERRA_NONE;
	int64 low_position = SIERRA_NONE;
	int64 high = source->leaf.sequence;
	int64 high_position = source->leaf.position;
	int64 overshoot = SEARCH_ENOUGH / 2;

	if (position < 0)
		return SIERRA_NONE;
	if (position >= high_position)
		return high;

	for (int step = 1; high - low > SEARCH_ENOUGH; step++)
	{
		int64 guess =
			step % 4 == 0
				? low + (high - low) / 2
				: interpolate(low, low_position, high, high_position, position) + overshoot;
		int64 found;

		guess = Min(Max(guess, low + 1), high - 1);
		found = position_of(source, guess);
		if (found <= position)
		{
			low = guess;
			low_position = found;
			overshoot = SEARCH_ENOUGH / 2;
		}
		else
		{
			high = guess;
			high_position = found;
			overshoot = -SEARCH_ENOUGH / 2;
		}
	}
	return low;
}

/* Steps over rows at or below position after, not more than limit. */
static bool
step_past(Source *source, int64 after, int64 limit)
{
	for (; limit > 0 && advance(source, ForwardScanDirection); limit--)
	{
		if (source->position > after)
			return true;
		source->passed = sierra_slot_int8(source->scan.slot, Anum_events_partition_sequence);
	}
	return false;
}

/* Places a source on its first row above position after; false if beyond the horizon. */
static bool
start_forward(Source *source, int64 after, int64 horizon, int64 hint)
{
	source->passed = source->leaf.sequence;
	if (source->leaf.position <= after)
		return false;

	/* A hint holds if its row is at or below the position, and the next few are not. */
	if (hint >= 0)
	{
		source->passed = SIERRA_NONE;
		rescan_from(source, BTGreaterEqualStrategyNumber, hint);
		if (step_past(source, after, SEARCH_ENOUGH) && source->passed != SIERRA_NONE)
			return source->position <= horizon;
	}
	source->passed = search_position(source, after);
	rescan_from(source, BTGreaterEqualStrategyNumber, source->passed + 1);
	return step_past(source, after, PG_INT64_MAX) && source->position <= horizon;
}

/* Places a source on its last row at or below a position. */
static bool
start_backward(Source *source, int64 position)
{
	int64 low;

	if (source->leaf.sequence == SIERRA_NONE)
		return false;
	low = search_position(source, position);
	rescan_from(source, BTLessEqualStrategyNumber, low + SEARCH_ENOUGH);
	while (advance(source, BackwardScanDirection))
	{
		if (source->position <= position)
			return true;
	}
	return false;
}

/* The heap keeps its greatest element first, so forwards the order is reversed. */
static int
compare_forward(Datum a, Datum b, void *arg)
{
	int64 left = ((Source *) DatumGetPointer(a))->position;
	int64 right = ((Source *) DatumGetPointer(b))->position;

	return left < right ? 1 : left > right ? -1 : 0;
}

static int
compare_backward(Datum a, Datum b, void *arg)
{
	return -compare_forward(a, b, arg);
}

static Source *
open_sources(const SierraStore *store)
{
	Source *sources = palloc0(sizeof(Source) * store->partitions);

	for (int i = 0; i < store->partitions; i++)
	{
		SierraReadLeaf *leaf = &sources[i].leaf;

		leaf->rel = sierra_scan_open_leaf(store, i, AccessShareLock);
		leaf->sequence_index = sierra_scan_open_index(leaf->rel, SIERRA_INDEX_SEQUENCE);
	}
	return sources;
}

static void
close_sources(const SierraStore *store, Source *sources)
{
	for (int i = 0; i < store->partitions; i++)
	{
		if (sources[i].scanning)
			sierra_scan_end(&sources[i].scan);
		index_close(sources[i].leaf.sequence_index, AccessShareLock);
		relation_close(sources[i].leaf.rel, AccessShareLock);
	}
}

static int64
find_horizon(const SierraStore *store, Source *sources)
{
	SierraReadLeaf *leaves = palloc(sizeof(SierraReadLeaf) * store->partitions);
	int64 horizon;

	for (int i = 0; i < store->partitions; i++)
		leaves[i] = sources[i].leaf;
	horizon = sierra_horizon(store, leaves);
	for (int i = 0; i < store->partitions; i++)
		sources[i].leaf = leaves[i];
	pfree(leaves);
	return horizon;
}

static void
begin_scan(Source *source)
{
	sierra_scan_begin(&source->scan, source->leaf.rel, source->leaf.sequence_index, false,
					  GetActiveSnapshot(), 1);
	source->scanning = true;
}

/* Remembers where a page that read up to position ended. */
static void
remember_page(const SierraStore *store, const Source *sources, int64 position)
{
	last_page.events = InvalidOid;
	for (int i = 0; i < store->partitions; i++)
		last_page.passed[i] = sources[i].passed;
	last_page.position = position;
	last_page.events = store->events;
}

static void
read_forward(const SierraStore *store, const SierraReadAll *request, Source *sources, int64 horizon,
			 SierraSink *sink)
{
	binaryheap *heap = binaryheap_allocate(store->partitions, compare_forward, NULL);
	bool hinted = last_page.events == store->events && last_page.position <= request->after;
	int64 read_up_to = Max(horizon, request->after);

	for (int i = 0; i < store->partitions; i++)
	{
		if (sources[i].leaf.position > request->after)
			begin_scan(&sources[i]);
		if (start_forward(&sources[i], request->after, horizon,
						  hinted ? last_page.passed[i] : SIERRA_NONE))
			binaryheap_add_unordered(heap, PointerGetDatum(&sources[i]));
	}
	binaryheap_build(heap);

	while (!binaryheap_empty(heap))
	{
		Source *first = (Source *) DatumGetPointer(binaryheap_first(heap));
		TupleTableSlot *slot = first->scan.slot;

		first->passed = sierra_slot_int8(slot, Anum_events_partition_sequence);
		if (request_wants(request, slot) && !sink->put(sink, slot))
		{
			read_up_to = first->position;
			break;
		}
		if (advance(first, ForwardScanDirection) && first->position <= horizon)
			binaryheap_replace_first(heap, PointerGetDatum(first));
		else
			binaryheap_remove_first(heap);
	}
	remember_page(store, sources, read_up_to);
	binaryheap_free(heap);
}

static void
read_backward(const SierraStore *store, const SierraReadAll *request, Source *sources,
			  int64 horizon, SierraSink *sink)
{
	binaryheap *heap = binaryheap_allocate(store->partitions, compare_backward, NULL);
	int64 start = request->after < 0 ? horizon : Min(horizon, request->after - 1);

	for (int i = 0; i < store->partitions; i++)
	{
		begin_scan(&sources[i]);
		if (start_backward(&sources[i], start))
			binaryheap_add_unordered(heap, PointerGetDatum(&sources[i]));
	}
	binaryheap_build(heap);

	while (!binaryheap_empty(heap))
	{
		Source *first = (Source *) DatumGetPointer(binaryheap_first(heap));

		if (request_wants(request, first->scan.slot) && !sink->put(sink, first->scan.slot))
			break;
		if (advance(first, BackwardScanDirection))
			binaryheap_replace_first(heap, PointerGetDatum(first));
		else
			binaryheap_remove_first(heap);
	}
	binaryheap_free(heap);
}

void
sierra_read_all(const SierraStore *store, const SierraReadAll *request, SierraSink *sink)
{
	Source *sources = open_sources(store);
	int64 horizon = find_horizon(store, sources);

	if (request->backward)
		read_backward(store, request, sources, horizon, sink);
	else
		read_forward(store, request, sources, horizon, sink);
	close_sources(store, sources);
}
