/*
 * read_all.c
 *		Reads the whole store in the order of global positions.
 *
 * It merges the partitions, each of which is read in the order of its sequence.
 * Positions do not have an index.  But they ascend with sequences, so the place to
 * start at in a partition is searched by sequence.  The session remembers where its
 * last page ended in each partition, so a reader that continues there does not have to
 * search.
 *
 * If the filter lets pass only streams of certain categories, a partition that has a
 * category index is read by it: it takes part in the merge once for each category.
 *
 * If only events with certain tags are wanted, they are found by their tags instead: see
 * read_tagged.c.
 */
#include "postgres.h"

#include "read/category.h"
#include "read/partition_cursor.h"
#include "read/read_all.h"
#include "read/read_tagged.h"
#include "store/category_index.h"
#include "store/event.h"

#include "access/relation.h"
#include "utils/snapmgr.h"

/*
 * Where the last page of this session ended: in partition i, the event with sequence
 * passed[i] is at or below position.  This is only a hint and is checked before use.  It
 * helps a reader that continues there: for a position further on it is of no use.
 */
static struct
{
	Oid events;
	int64 position;
	int64 passed[SIERRA_PARTITIONS_MAX];
	BlockNumber block[SIERRA_PARTITIONS_MAX]; /* where it ended in the table */
} last_page;

/* A source, and the position of its current row, negated if the store is read backward. */
typedef struct Turn
{
	int64 order;
	SierraSource *source;
} Turn;

/* One reading of the whole store. */
typedef struct Merge
{
	const SierraStore *store;
	const SierraReadAll *request;
	SierraReadPartitions opened;
	SierraReadPartition *partitions;
	Relation *category_indexes; /* by partition; NULL: all its events are read */
	SierraCategories categories;
	SierraSource *sources;
	int source_count;
	int64 *passed; /* by partition: highest sequence at or below the position reached */
	int64 horizon;
	int64 limit; /* forward: the last position that is read, mostly the horizon */
	bool has_results;
	Turn *heap; /* sources with a current row, the one whose turn it is first */
	int heap_size;
} Merge;

/* The position after which the request begins in a partition. */
static int64
start_of(const SierraReadAll *request, int partition)
{
	return request->after_by_partition ? request->after_by_partition[partition] : request->after;
}

/* Is a position behind those that are read? */
static bool
is_beyond(const Merge *merge, int64 position)
{
	return merge->request->backward ? merge->request->bounded && position < merge->request->to
									: position > merge->limit;
}

static Turn
turn_of(const Merge *merge, SierraSource *source)
{
	int64 position = source->position;

	return (Turn){merge->request->backward ? -position : position, source};
}

static void
add_to_heap(Merge *merge, SierraSource *source)
{
	merge->heap[merge->heap_size++] = turn_of(merge, source);
}

/* Puts a turn into this place of the heap, or below it, where both places below are behind it. */
static void
sift_down(Turn *heap, int size, int place, Turn turn)
{
	int below;

	while ((below = 2 * place + 1) < size)
	{
		if (below + 1 < size && heap[below + 1].order < heap[below].order)
			below++;
		if (heap[below].order >= turn.order)
			break;
		heap[place] = heap[below];
		place = below;
	}
	heap[place] = turn;
}

static void
build_heap(Merge *merge)
{
	for (int place = merge->heap_size / 2 - 1; place >= 0; place--)
		sift_down(merge->heap, merge->heap_size, place, merge->heap[place]);
}

/* Opens the partitions, and the category indexes of those that can be read by them. */
static void
open_partitions(Merge *merge)
{
	int partitions = merge->store->partitions;
	bool by_category = sierra_filter_categories(&merge->request->streams, &merge->categories);

	sierra_read_partitions_open(&merge->opened, merge->store, merge->request->after_by_partition,
								sierra_read_request_reached(merge->request));
	merge->partitions = merge->opened.partitions;
	merge->horizon = merge->opened.horizon;
	merge->limit = merge->request->past_horizon ? PG_INT64_MAX : merge->horizon;
	if (merge->request->bounded && !merge->request->backward)
	{
		merge->limit = Min(merge->limit, merge->request->to);
		merge->horizon = Min(merge->horizon, merge->request->to);
	}
	merge->category_indexes = palloc0(sizeof(Relation) * partitions);
	merge->passed = palloc(sizeof(int64) * partitions);
	for (int i = 0; i < partitions; i++)
	{
		merge->passed[i] = SIERRA_NONE;
		if (by_category && merge->partitions[i].rel != NULL)
			merge->category_indexes[i] = sierra_category_index_open(merge->partitions[i].rel);
	}
}

/* Makes the sources of all partitions: one, or one for each category. */
static void
make_sources(Merge *merge)
{
	int partitions = merge->store->partitions;
	int most = partitions * Max(1, merge->categories.count);

	merge->sources = palloc0(sizeof(SierraSource) * most);
	merge->heap = palloc(sizeof(Turn) * most);
	for (int i = 0; i < partitions; i++)
	{
		bool by_category = merge->category_indexes[i] != NULL;

		if (merge->partitions[i].sequence == SIERRA_NONE)
			continue;
		for (int c = 0; c < (by_category ? merge->categories.count : 1); c++)
		{
			SierraSource *source = &merge->sources[merge->source_count++];

			source->id = i;
			source->partition = merge->partitions[i];
			if (by_category)
			{
				source->category = merge->categories.names[c];
				source->category_index = merge->category_indexes[i];
			}
		}
	}
}

static void
close_partitions(Merge *merge)
{
	for (int i = 0; i < merge->source_count; i++)
		sierra_source_end(&merge->sources[i]);
	for (int i = 0; i < merge->store->partitions; i++)
	{
		if (merge->category_indexes[i] != NULL)
			index_close(merge->category_indexes[i], AccessShareLock);
	}
	sierra_read_partitions_close(&merge->opened, merge->has_results);
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

/* What is known of a partition from the last page; SIERRA_NONE and InvalidBlockNumber: nothing. */
typedef struct Hint
{
	int64 passed;
	BlockNumber block;
} Hint;

static Hint
hint_for(const Merge *merge, int partition, int64 after)
{
	int64 near = (int64) SIERRA_SEARCH_ENOUGH * merge->store->partitions;

	if (last_page.events != merge->store->events || after < last_page.position ||
		after - last_page.position > near)
		return (Hint){SIERRA_NONE, InvalidBlockNumber};
	return (Hint){last_page.passed[partition], last_page.block[partition]};
}

/* Makes the first row above the request's position current; false if there is none. */
static bool
start_forward(SierraSource *source, int64 after, Hint hint, int64 *passed)
{
	if (sierra_source_start_on_page(source, SIERRA_BY_POSITION, after, hint.block, passed))
		return true;

	/* The hint is right if its row is at or below the position and one of the next is not. */
	if (hint.passed >= 0 && sierra_source_start(source, hint.passed, ForwardScanDirection))
	{
		*passed = SIERRA_NONE;
		if (step_past(source, after, SIERRA_SEARCH_ENOUGH, passed) && *passed != SIERRA_NONE)
			return true;
	}
	*passed = sierra_source_search_index(source, after);
	return sierra_source_start(source, *passed + 1, ForwardScanDirection) &&
		   step_past(source, after, PG_INT64_MAX, passed);
}

/* The same for a source of a category; place is where its partition begins to be read. */
static bool
start_category_forward(SierraSource *source, int64 after, int64 place)
{
	int64 ignored;

	return sierra_source_start(source, place + 1, ForwardScanDirection) &&
		   step_past(source, after, PG_INT64_MAX, &ignored);
}

/* Makes the first row from this place on, backward, at or below a position current. */
static bool
start_backward(SierraSource *source, int64 position, int64 place)
{
	int64 newest = source->partition.sequence;

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

/*
 * A sequence of the partition whose event is at or below a position, and at most
 * SIERRA_SEARCH_ENOUGH events are between; SIERRA_NONE if that is before the first.
 * For sources of categories, which cannot search themselves.
 */
static int64
find_place(const SierraReadPartition *partition, int64 position, int64 hint)
{
	SierraSource all = {.partition = *partition};
	int64 place;

	if (position < 0)
		return SIERRA_NONE;
	sierra_source_begin(&all, 1);
	if (hint >= 0 && hint <= partition->sequence && sierra_source_reaches(&all, hint, position) &&
		(partition->sequence - hint < SIERRA_SEARCH_ENOUGH ||
		 !sierra_source_reaches(&all, hint + SIERRA_SEARCH_ENOUGH, position)))
		place = hint;
	else
		place = sierra_source_search(&all, position);
	sierra_source_end(&all);
	return place;
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
	int placed = -1; /* the last partition with a category index whose place was found */

	for (int i = 0; i < merge->source_count; i++)
	{
		SierraSource *source = &merge->sources[i];
		int64 *passed = &merge->passed[source->id];
		int64 after = start_of(merge->request, source->id);
		Hint hint = hint_for(merge, source->id, after);
		bool started;

		if (source->partition.position <= after)
		{
			*passed = source->partition.sequence;
			continue;
		}
		sierra_source_begin(source, expected_rows(merge));
		if (source->category == NULL)
			started = start_forward(source, after, hint, passed);
		else
		{
			if (placed != source->id)
				*passed = find_place(&source->partition, after, hint.passed);
			placed = source->id;
			started = start_category_forward(source, after, *passed);
		}
		if (started && !is_beyond(merge, source->position))
			add_to_heap(merge, source);
	}
}

static void
start_all_backward(Merge *merge)
{
	int64 after = merge->request->after;
	int64 start = after < 0 ? merge->horizon : Min(merge->horizon, after - 1);
	int64 place = SIERRA_NONE;
	int placed = -1; /* the partition that it is a place in */

	for (int i = 0; i < merge->source_count; i++)
	{
		SierraSource *source = &merge->sources[i];

		sierra_source_begin(source, expected_rows(merge));
		if (source->category == NULL)
			place = sierra_source_search(source, start);
		else if (placed != source->id)
			place = find_place(&source->partition, start, SIERRA_NONE);
		placed = source->id;
		if (start_backward(source, start, place) && !is_beyond(merge, source->position))
			add_to_heap(merge, source);
	}
}

/* Remembers where a page that read up to position ended. */
static void
remember_page(const Merge *merge, int64 position)
{
	/* An error in between must not leave a mixture of two pages. */
	last_page.events = InvalidOid;
	for (int i = 0; i < merge->store->partitions; i++)
	{
		last_page.passed[i] = merge->partitions[i].position <= position
								  ? merge->partitions[i].sequence
								  : merge->passed[i];
		last_page.block[i] = merge->partitions[i].block;
	}
	for (int i = 0; i < merge->source_count; i++)
	{
		const SierraSource *source = &merge->sources[i];

		if (source->scanning)
			last_page.block[source->id] = sierra_source_page(source);
	}
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

	while (merge->heap_size > 0)
	{
		SierraSource *first = merge->heap[0].source;
		Turn next;
		bool stop;

		merge->passed[first->id] = first->sequence;
		if (sierra_read_request_wants(request, first->scan.slot))
		{
			merge->has_results = true;
			stop = !sink->put(sink, first->scan.slot);
		}
		else
			stop = request->goes_on != NULL && ++unwanted % SIERRA_ASK_EVERY == 0 &&
				   !request->goes_on(request->arg);
		if (stop)
		{
			end = first->position;
			break;
		}
		if (sierra_source_advance(first) && !is_beyond(merge, first->position))
			next = turn_of(merge, first);
		else
			next = merge->heap[--merge->heap_size];
		sift_down(merge->heap, merge->heap_size, 0, next);
	}
	return end;
}

int64
sierra_read_all(const SierraStore *store, const SierraReadAll *request, SierraSink *sink)
{
	Merge merge = {.store = store, .request = request};
	SierraEventQuery tagged;
	int64 end;

	if (sierra_read_tagged_applies(request, &tagged))
		return sierra_read_tagged(store, request, &tagged, sink);
	open_partitions(&merge);
	make_sources(&merge);
	if (request->backward)
		start_all_backward(&merge);
	else
		start_all_forward(&merge);
	build_heap(&merge);
	end = merge_sources(&merge, sink);
	if (!request->backward && !request->past_horizon)
		remember_page(&merge, end);
	close_partitions(&merge);
	return end;
}

int64
sierra_read_horizon(const SierraStore *store)
{
	SierraReadPartitions opened;

	sierra_read_partitions_open(&opened, store, NULL, SIERRA_NONE);
	sierra_read_partitions_close(&opened, false);
	return opened.horizon;
}
