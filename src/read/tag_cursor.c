/*
 * tag_cursor.c
 *		Finds the places of events by their tags, in the order of positions.
 *
 * The index of event_tags is on (tag, position, partition, sequence), so the entries of a
 * tag are in the order of positions, and an entry is all that there is to know: the table
 * is never visited.  Whether an entry counts depends on the event only.  The append writes
 * both in one transaction, so what a snapshot sees of one it sees of the other.
 *
 * The entries of an item with several tags are intersected: the scan of each tag leaps to
 * the position that another one has reached, until all have the same.  The scan of the tag
 * with the fewest entries is the one that leaps far, so the number of leaps is in
 * proportion to its entries.  The items are merged.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/text.h"
#include "read/tag_cursor.h"
#include "store/event.h"
#include "store/event_tags.h"
#include "store/registry.h"
#include "store/scan.h"

#include "access/itup.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "miscadmin.h"

/*
 * A scan that is intersected with others reads a window of positions at a time.  It begins
 * with a few positions where it leaps to, because an index scan reads a whole page ahead,
 * and most of that would be leapt over.  Each window that follows without a leap is wider.
 */
#define WINDOW_MIN 8
#define WINDOW_GROWTH 4

/* The width of a window of all positions, for a scan that is not intersected with others. */
#define ALL PG_INT64_MAX

/* Within a window, the scan moves this number of entries one by one before it leaps. */
#define STEPS_BEFORE_LEAP 16

static bool
is_before(const SierraTagCursor *cursor, int64 a, int64 b)
{
	return ScanDirectionIsForward(cursor->direction) ? a < b : a > b;
}

/* Reads the entry that the scan has found; false if a column is null, as none can be. */
static bool
read_entry(SierraTagScan *scan)
{
	Datum values[Natts_event_tags];
	bool nulls[Natts_event_tags];

	index_deform_tuple(scan->desc->xs_itup, scan->desc->xs_itupdesc, values, nulls);
	if (nulls[Anum_event_tags_position - 1] || nulls[Anum_event_tags_partition - 1] ||
		nulls[Anum_event_tags_sequence - 1])
		return false;
	scan->place.position = DatumGetInt64(values[Anum_event_tags_position - 1]);
	scan->place.partition = DatumGetInt32(values[Anum_event_tags_partition - 1]);
	scan->place.sequence = DatumGetInt64(values[Anum_event_tags_sequence - 1]);
	return true;
}

/* The last position in the direction of reading. */
static int64
end_of(const SierraTagCursor *cursor)
{
	return ScanDirectionIsForward(cursor->direction) ? cursor->high : cursor->low;
}

/* The position that is this far behind another one, but not behind the end. */
static int64
behind(const SierraTagCursor *cursor, int64 position, int64 distance)
{
	int64 end = end_of(cursor);

	if (ScanDirectionIsForward(cursor->direction))
		return end - position < distance ? end : position + distance;
	return position - end < distance ? end : position - distance;
}

/* Moves to the next entry in the window. */
static bool
step_in_window(const SierraTagCursor *cursor, SierraTagScan *scan)
{
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (index_getnext_tid(scan->desc, cursor->direction) == NULL)
			return false;
	} while (!read_entry(scan));
	/* Without windows there is no key for the end: each entry would be compared with it. */
	return !is_before(cursor, scan->last, scan->place.position);
}

/* Begins to read a window at a position, before its first entry. */
static void
begin_window(const SierraTagCursor *cursor, SierraTagScan *scan, int64 position)
{
	bool forward = ScanDirectionIsForward(cursor->direction);
	int nkeys = scan->width == ALL ? 2 : 3;
	ScanKeyData keys[3];

	if (scan->desc == NULL)
	{
		scan->desc =
			sierra_compat_index_beginscan(cursor->rel, cursor->index, cursor->snapshot, nkeys);
		scan->desc->xs_want_itup = true;
	}
	scan->last = scan->width == ALL ? end_of(cursor) : behind(cursor, position, scan->width - 1);
	sierra_scan_key_text(&keys[0], Anum_event_tags_tag, scan->tag);
	sierra_scan_key_int8(&keys[1], Anum_event_tags_position,
						 forward ? BTGreaterEqualStrategyNumber : BTLessEqualStrategyNumber,
						 position);
	sierra_scan_key_int8(&keys[2], Anum_event_tags_position,
						 forward ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber,
						 scan->last);
	index_rescan(scan->desc, keys, nkeys, NULL, 0);
	if (scan->width < ALL / WINDOW_GROWTH)
		scan->width *= WINDOW_GROWTH;
}

/* Moves to the next entry of the tag. */
static bool
step(const SierraTagCursor *cursor, SierraTagScan *scan)
{
	while (!step_in_window(cursor, scan))
	{
		if (scan->last == end_of(cursor))
		{
			scan->ended = true;
			return false;
		}
		begin_window(cursor, scan, behind(cursor, scan->last, 1));
	}
	return true;
}

/* Moves to the first entry of the tag at a position or behind it, which is not in reach. */
static bool
leap(const SierraTagCursor *cursor, SierraTagScan *scan, int64 position)
{
	begin_window(cursor, scan, position);
	return step(cursor, scan);
}

/* Makes the first entry of the tag at a position or behind it current. */
static bool
reach(const SierraTagCursor *cursor, SierraTagScan *scan, int64 position)
{
	if (scan->ended)
		return false;
	if (scan->desc == NULL)
		return leap(cursor, scan, position);
	for (int steps = 0; is_before(cursor, scan->place.position, position); steps++)
	{
		if (steps == STEPS_BEFORE_LEAP)
		{
			scan->width = WINDOW_MIN;
			return leap(cursor, scan, position);
		}
		if (step_in_window(cursor, scan))
			continue;
		if (scan->last == end_of(cursor))
		{
			scan->ended = true;
			return false;
		}
		/* If it is not in the next window either, begin with a narrow one. */
		if (is_before(cursor, behind(cursor, scan->last, scan->width), position))
			scan->width = WINDOW_MIN;
		return leap(cursor, scan, position);
	}
	return true;
}

/*
 * Makes the first position, from this one on, current at which all tags of the item have
 * an entry.
 */
static void
reach_all(const SierraTagCursor *cursor, SierraItemScan *item, int64 position)
{
	int agreed = 0; /* how many scans, up to this one, have reached the same position */

	for (int i = 0; agreed < item->count; i = (i + 1) % item->count)
	{
		SierraTagScan *scan = &item->scans[i];

		if (!reach(cursor, scan, position))
		{
			item->ended = true;
			return;
		}
		agreed = scan->place.position == position ? agreed + 1 : 1;
		position = scan->place.position;
	}
}

/* The first tag can have several entries at a position; each of them is a place. */
static void
advance(const SierraTagCursor *cursor, SierraItemScan *item)
{
	if (step(cursor, &item->scans[0]))
		reach_all(cursor, item, item->scans[0].place.position);
	else
		item->ended = true;
}

void
sierra_tag_cursor_begin(SierraTagCursor *cursor, const SierraStore *store,
						const SierraEventQuery *query, Snapshot snapshot, ScanDirection direction,
						int64 low, int64 high)
{
	*cursor = (SierraTagCursor){.snapshot = snapshot,
								.direction = direction,
								.low = low,
								.high = high,
								.count = query->count,
								.last = {SIERRA_NONE, -1, SIERRA_NONE}};
	cursor->rel = sierra_registry_open_tags_index(store, &cursor->index);
	cursor->items = palloc0(sizeof(SierraItemScan) * query->count);
	for (int i = 0; i < query->count; i++)
	{
		SierraItemScan *item = &cursor->items[i];

		item->count = query->items[i].tag_count;
		item->scans = palloc0(sizeof(SierraTagScan) * item->count);
		for (int k = 0; k < item->count; k++)
		{
			item->scans[k].tag = query->items[i].tags[k];
			item->scans[k].width = item->count == 1 ? ALL : WINDOW_MIN;
		}
		if (low <= high)
			reach_all(cursor, item, ScanDirectionIsForward(direction) ? low : high);
		else
			item->ended = true;
	}
}

static bool
is_same(const SierraPlace *a, const SierraPlace *b)
{
	return a->position == b->position && a->partition == b->partition && a->sequence == b->sequence;
}

/* The item whose place comes next; NULL if all have ended. */
static SierraItemScan *
find_first(const SierraTagCursor *cursor)
{
	SierraItemScan *first = NULL;

	for (int i = 0; i < cursor->count; i++)
	{
		SierraItemScan *item = &cursor->items[i];

		if (!item->ended && (first == NULL || is_before(cursor, item->scans[0].place.position,
														first->scans[0].place.position)))
			first = item;
	}
	return first;
}

bool
sierra_tag_cursor_next(SierraTagCursor *cursor, SierraPlace *place)
{
	SierraItemScan *item;

	while ((item = find_first(cursor)) != NULL)
	{
		*place = item->scans[0].place;
		advance(cursor, item);
		/* Items often have events in common. */
		if (!is_same(place, &cursor->last))
		{
			cursor->last = *place;
			return true;
		}
	}
	return false;
}

void
sierra_tag_cursor_end(SierraTagCursor *cursor)
{
	for (int i = 0; i < cursor->count; i++)
	{
		for (int k = 0; k < cursor->items[i].count; k++)
		{
			if (cursor->items[i].scans[k].desc != NULL)
				index_endscan(cursor->items[i].scans[k].desc);
		}
	}
	index_close(cursor->index, AccessShareLock);
	table_close(cursor->rel, AccessShareLock);
}
