/*
 * partition_cursor.c
 *		Reads one partition while the whole store is read: its rows by sequence, from
 *		the place of a position on.
 *
 * An index scan reads a whole index page at a time.  A caller that reads some events
 * of a store with many partitions needs only a few rows of each, which cost less than
 * that.  So a source scans a window of sequences, and each window is twice as large
 * as the one before.
 *
 * Mostly it needs no index: the next row is behind the current one on its page
 * (page_rows.c).  If it is not, one window is scanned.
 *
 * A source can also read the events of one category, by the category index.  Many windows
 * can have none of them, so after a window without events the next one is far larger.
 */
#include "postgres.h"

#include "base/errors.h"
#include "read/partition_cursor.h"
#include "store/category_index.h"
#include "store/event.h"

#include "access/stratnum.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define WINDOW_MAX 4096

/* For a category: how much larger a window is than one before that had no events. */
#define WINDOW_GROWTH 16

void
sierra_source_begin(SierraSource *source, int64 window)
{
	const SierraReadPartition *partition = &source->partition;
	Snapshot snapshot = GetActiveSnapshot();

	if (source->category != NULL)
		sierra_scan_begin(&source->scan, partition->rel, source->category_index, false, snapshot,
						  3);
	else
	{
		sierra_scan_begin(&source->scan, partition->rel, partition->sequence_index, false, snapshot,
						  2);
		if (partition->sequence != SIERRA_NONE)
			sierra_page_rows_begin(&source->pages, partition->rel, snapshot, partition->block + 1);
	}
	source->scanning = true;
	source->window = window;
}

void
sierra_source_end(SierraSource *source)
{
	if (source->scanning)
	{
		sierra_page_rows_end(&source->pages);
		sierra_scan_end(&source->scan);
	}
	source->scanning = false;
}

static void
scan_sequences(SierraSource *source, int64 from, int64 to)
{
	ScanKeyData keys[3];
	ScanKeyData *key = keys;
	AttrNumber column = 1;

	if (source->category != NULL)
	{
		sierra_scan_key_text(key++, Anum_category_index_category, source->category);
		column = Anum_category_index_sequence;
	}
	sierra_scan_key_int8(key++, column, BTGreaterEqualStrategyNumber, from);
	sierra_scan_key_int8(key, column, BTLessEqualStrategyNumber, to);
	sierra_scan_rescan(&source->scan, keys);
}

static bool
fetch(SierraSource *source, ScanDirection direction)
{
	if (!sierra_scan_next(&source->scan, direction))
		return false;
	source->sequence = sierra_event_sequence(source->scan.slot);
	source->position = sierra_event_position(source->scan.slot);
	return true;
}

/* Makes the row with this sequence current if it is the next one on the pages. */
static bool
fetch_from_page(SierraSource *source, int64 sequence)
{
	const SierraEventFixed *fixed;

	CHECK_FOR_INTERRUPTS();
	fixed = sierra_page_rows_next(&source->pages, sequence, source->scan.slot);
	source->by_pages = fixed != NULL;
	if (fixed == NULL)
		return false;
	source->sequence = sequence;
	source->position = fixed->global_position;
	return true;
}

static void
scan_next_window(SierraSource *source)
{
	int64 newest = source->partition.sequence;
	int64 next = source->next;

	if (ScanDirectionIsForward(source->direction))
	{
		int64 last = newest - next < source->window ? newest : next + source->window - 1;

		scan_sequences(source, next, last);
		source->window_is_last = last == newest;
		source->next = last + 1;
	}
	else
	{
		int64 first = next < source->window ? 0 : next - source->window + 1;

		scan_sequences(source, first, next);
		source->window_is_last = first == 0;
		source->next = first - 1;
	}
	if (source->window < WINDOW_MAX)
		source->window = Min(source->window * 2, WINDOW_MAX);
	source->window_is_empty = true;
}

/* Up to the newest event there is one for each sequence, unless rows were damaged. */
static void
report_gap(const SierraSource *source)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("table \"%s\" of the event store is damaged",
				   RelationGetRelationName(source->partition.rel)),
			errdetail("It has no events with sequences beside %lld, though its newest has %lld.",
					  (long long) source->next, (long long) source->partition.sequence),
			errhint("Restore the store from a dump; everify() shows what is wrong."));
}

/* After a row that was found on its page. */
static bool
advance_from_page(SierraSource *source)
{
	if (source->sequence >= source->partition.sequence)
		return false;
	if (fetch_from_page(source, source->sequence + 1))
		return true;
	source->next = source->sequence + 1;
	scan_next_window(source);
	return sierra_source_advance(source);
}

/* After a window: the row behind its last one may be behind it on its page too. */
static bool
leave_window(SierraSource *source)
{
	if (source->category != NULL || source->pages.rel == NULL ||
		!ScanDirectionIsForward(source->direction))
		return false;
	sierra_page_rows_follow(&source->pages, &source->row);
	return fetch_from_page(source, source->next);
}

bool
sierra_source_advance(SierraSource *source)
{
	if (source->by_pages)
		return advance_from_page(source);
	while (!fetch(source, source->direction))
	{
		if (source->window_is_last)
			return false;
		if (source->window_is_empty)
		{
			if (source->category == NULL && !source->with_gaps)
				report_gap(source);
			source->window = Min(source->window, PG_INT64_MAX / WINDOW_GROWTH) * WINDOW_GROWTH;
		}
		else if (leave_window(source))
			return true;
		scan_next_window(source);
	}
	source->row = source->scan.slot->tts_tid;
	source->window_is_empty = false;
	return true;
}

bool
sierra_source_start(SierraSource *source, int64 sequence, ScanDirection direction)
{
	source->direction = direction;
	source->next = sequence;
	source->by_pages = false;
	if (sequence < 0 || sequence > source->partition.sequence)
		return false;
	scan_next_window(source);
	return sierra_source_advance(source);
}

bool
sierra_source_start_on_page(SierraSource *source, SierraPageKey key, int64 after, BlockNumber guess,
							int64 *passed)
{
	bool by_sequence = key == SIERRA_BY_SEQUENCE;
	int64 newest = by_sequence ? source->partition.sequence : source->partition.position;

	source->direction = ForwardScanDirection;
	if (!sierra_page_rows_search(&source->pages, key, after, newest, guess, passed) ||
		!fetch_from_page(source, *passed + 1))
		return false;
	return (by_sequence ? source->sequence : source->position) > after;
}

BlockNumber
sierra_source_page(const SierraSource *source)
{
	return source->by_pages ? source->pages.block : InvalidBlockNumber;
}

/* The position of the event with this sequence, which the snapshot sees. */
static int64
position_of(SierraSource *source, int64 sequence)
{
	scan_sequences(source, sequence, sequence);
	return fetch(source, ForwardScanDirection) ? source->position : PG_INT64_MAX;
}

bool
sierra_source_reaches(SierraSource *source, int64 sequence, int64 position)
{
	return position_of(source, sequence) <= position;
}

/* The sequence, between low and high, that the position has if positions are spread evenly. */
static int64
interpolate(int64 low, int64 low_position, int64 high, int64 high_position, int64 position)
{
	return low + (int64) ((double) (high - low) * (position - low_position) /
						  (high_position - low_position));
}

/*
 * A hash spreads streams over partitions, so positions are spread about evenly, and
 * interpolation comes near the place in a few steps.  The guess is moved a little
 * beyond the estimate, so that the other end of the range comes near too.  Each fourth
 * step halves the range, which limits the number of steps for any positions.
 */
int64
sierra_source_search_index(SierraSource *source, int64 position)
{
	int64 low = SIERRA_NONE;
	int64 low_position = SIERRA_NONE;
	int64 high = source->partition.sequence;
	int64 high_position = source->partition.position;
	int64 overshoot = SIERRA_SEARCH_ENOUGH / 2;

	if (position < 0)
		return SIERRA_NONE;
	if (position >= high_position)
		return high;

	for (int step = 1; high - low > SIERRA_SEARCH_ENOUGH; step++)
	{
		int64 guess;
		int64 found;

		if (step % 4 == 0)
			guess = low + (high - low) / 2;
		else
			guess = interpolate(low, low_position, high, high_position, position) + overshoot;
		guess = Min(Max(guess, low + 1), high - 1);
		found = position_of(source, guess);
		if (found <= position)
		{
			low = guess;
			low_position = found;
			overshoot = SIERRA_SEARCH_ENOUGH / 2;
		}
		else
		{
			high = guess;
			high_position = found;
			overshoot = -SIERRA_SEARCH_ENOUGH / 2;
		}
	}
	return low;
}

int64
sierra_source_search(SierraSource *source, int64 position)
{
	int64 passed;

	if (sierra_source_start_on_page(source, SIERRA_BY_POSITION, position, InvalidBlockNumber,
									&passed))
		return passed;
	return sierra_source_search_index(source, position);
}
