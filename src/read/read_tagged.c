/*
 * read_tagged.c
 *		Reads the events of the whole store that have certain tags.
 *
 * A tag cursor says where they are, in the order of positions, up to the horizon, which is
 * that of all partitions as ever.  Each event is then looked up by partition and sequence.
 * An entry of table event_tags counts only if the event there has the position of the entry
 * and is requested: an append that was rolled back leaves its entries, and another event
 * can have the sequence since.
 */
#include "postgres.h"

#include "read/event_lookup.h"
#include "read/read_tagged.h"
#include "read/tag_cursor.h"
#include "store/event.h"
#include "store/scan.h"

#include "utils/snapmgr.h"

/* One reading. */
typedef struct Reading
{
	const SierraReadAll *request;
	SierraReadPartitions opened;
	SierraTagCursor cursor;
	SierraEventLookup lookup;
	int64 low; /* positions that are read */
	int64 high;
	bool has_results;
} Reading;

bool
sierra_read_tagged_applies(const SierraReadAll *request, SierraEventQuery *tagged)
{
	const SierraFilter *tags = &request->tags;

	if (request->query != NULL && sierra_event_query_is_tagged(request->query))
	{
		*tagged = *request->query;
		return true;
	}
	if (!tags->given || tags->count > SIERRA_QUERY_ITEMS_MAX)
		return false;
	/* Without a tag nothing is requested, and a cursor without items finds nothing. */
	tagged->count = tags->count;
	tagged->items = palloc0(sizeof(SierraQueryItem) * tags->count);
	for (int i = 0; i < tags->count; i++)
		tagged->items[i] = (SierraQueryItem){.tag_count = 1, .tags = &tags->items[i]};
	return true;
}

/* The lowest position after which one of the partitions is read. */
static int64
lowest_start(const SierraStore *store, const SierraReadAll *request)
{
	int64 lowest = PG_INT64_MAX;

	if (request->after_by_partition == NULL)
		return request->after;
	for (int i = 0; i < store->partitions; i++)
		lowest = Min(lowest, request->after_by_partition[i]);
	return lowest;
}

/* Finds out which positions are read; low is above high if there are none. */
static void
find_bounds(Reading *reading, const SierraStore *store)
{
	const SierraReadAll *request = reading->request;
	int64 after = lowest_start(store, request);

	reading->low = 0;
	reading->high = request->past_horizon ? PG_INT64_MAX : reading->opened.horizon;
	if (request->backward)
	{
		if (after >= 0)
			reading->high = Min(reading->high, after - 1);
		if (request->bounded)
			reading->low = Max(reading->low, request->to);
	}
	else
	{
		if (after == PG_INT64_MAX)
			reading->high = SIERRA_NONE;
		else
			reading->low = after + 1;
		if (request->bounded)
			reading->high = Min(reading->high, request->to);
	}
}

/* The event at a place, if it is there and is requested; otherwise NULL. */
static TupleTableSlot *
find_event(Reading *reading, const SierraPlace *place)
{
	const SierraReadAll *request = reading->request;
	const SierraStore *store = reading->opened.store;
	TupleTableSlot *slot;

	if (place->partition < 0 || place->partition >= store->partitions ||
		place->sequence > reading->opened.partitions[place->partition].sequence)
		return NULL;
	if (request->after_by_partition != NULL &&
		place->position <= request->after_by_partition[place->partition])
		return NULL;
	slot = sierra_event_lookup_find(&reading->lookup, place->partition, place->sequence);
	if (slot == NULL || sierra_event_position(slot) != place->position ||
		!sierra_read_request_wants(request, slot))
		return NULL;
	return slot;
}

/*
 * Puts the events into the sink.  Returns false if it was stopped before the end, at
 * position *end.
 */
static bool
read_places(Reading *reading, SierraSink *sink, int64 *end)
{
	const SierraReadAll *request = reading->request;
	int64 found_at = SIERRA_NONE;
	int unwanted = 0;
	SierraPlace place;

	while (sierra_tag_cursor_next(&reading->cursor, &place))
	{
		TupleTableSlot *slot = NULL;
		bool goes_on = true;

		/* Each event once, though several items lead to it. */
		if (place.position != found_at)
			slot = find_event(reading, &place);
		if (slot != NULL)
		{
			found_at = place.position;
			reading->has_results = true;
			goes_on = sink->put(sink, slot);
		}
		else if (request->goes_on != NULL && ++unwanted % SIERRA_ASK_EVERY == 0)
			goes_on = request->goes_on(request->arg);
		if (!goes_on)
		{
			*end = place.position;
			return false;
		}
	}
	return true;
}

int64
sierra_read_tagged(const SierraStore *store, const SierraReadAll *request,
				   const SierraEventQuery *tagged, SierraSink *sink)
{
	Reading reading = {.request = request};
	Snapshot snapshot = GetActiveSnapshot();
	int64 end;

	sierra_read_partitions_open(&reading.opened, store, request->after_by_partition,
								sierra_read_request_reached(request));
	find_bounds(&reading, store);
	sierra_event_lookup_begin(&reading.lookup, store, reading.opened.partitions, snapshot);
	sierra_tag_cursor_begin(&reading.cursor, store, tagged, snapshot,
							request->backward ? BackwardScanDirection : ForwardScanDirection,
							reading.low, reading.high);
	if (read_places(&reading, sink, &end))
		end = Max(Min(reading.high, reading.opened.horizon), request->after);
	sierra_tag_cursor_end(&reading.cursor);
	sierra_event_lookup_end(&reading.lookup);
	sierra_read_partitions_close(&reading.opened, reading.has_results);
	return end;
}
