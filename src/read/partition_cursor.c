/*
 * partition_cursor.c
 *		Reads one partition while the whole store is read: its rows by sequence, from
 *		the place of a position on.
 *
 * An index scan reads a whole index page at a time.  A caller that reads some events
 * of a store with many partitions needs only a few rows of each, which cost less than
 * that.  So a source scans a window of sequences, and each window is twice as large
 * as the one before.
 */
#include "postgres.h"

#include "base/errors.h"
#include "read/partition_cursor.h"
#include "store/event.h"

#include "access/stratnum.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define WINDOW_MAX 4096

void
sierra_source_begin(SierraSource *source, int64 window)
{
	sierra_scan_begin(&source->scan, source->partition.rel, source->partition.sequence_index, false,
					  GetActiveSnapshot(), 2);
	source->scanning = true;
	source->window = window;
}

void
sierra_source_end(SierraSource *source)
{
	if (source->scanning)
		sierra_scan_end(&source->scan);
	source->scanning = false;
}

static void
scan_sequences(SierraSource *source, int64 from, int64 to)
{
	ScanKeyData keys[2];

	sierra_scan_key_int8(&keys[0], 1, BTGreaterEqualStrategyNumber, from);
	sierra_scan_key_int8(&keys[1], 1, BTLessEqualStrategyNumber, to);
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

static void
scan_next_window(SierraSource *source)
{
	if (ScanDirectionIsForward(source->direction))
	{
		int64 window = Min(source->window, PG_INT64_MAX - source->next);

		scan_sequences(source, source->next, source->next + window - 1);
		source->next += window;
	}
	else
	{
		scan_sequences(source, Max(source->next - source->window + 1, 0), source->next);
		source->next -= source->window;
	}
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

bool
sierra_source_advance(SierraSource *source)
{
	while (!fetch(source, source->direction))
	{
		if (source->next < 0 || source->next > source->partition.sequence)
			return false;
		if (source->window_is_empty)
			report_gap(source);
		scan_next_window(source);
	}
	source->window_is_empty = false;
	return true;
}

bool
sierra_source_start(SierraSource *source, int64 sequence, ScanDirection direction)
{
	source->direction = direction;
	source->next = sequence;
	if (sequence < 0 || sequence > source->partition.sequence)
		return false;
	scan_next_window(source);
	return sierra_source_advance(source);
}

/* The position of the event with this sequence, which the snapshot sees. */
static int64
position_of(SierraSource *source, int64 sequence)
{
	scan_sequences(source, sequence, sequence);
	return fetch(source, ForwardScanDirection) ? source->position : PG_INT64_MAX;
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
sierra_source_search(SierraSource *source, int64 position)
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
