/*
 * partition_cursor.h
 *		Reads one partition while the whole store is read: its rows by sequence, from
 *		the place of a position on.
 */
#ifndef SIERRA_PARTITION_CURSOR_H
#define SIERRA_PARTITION_CURSOR_H

#include "read/horizon.h"
#include "read/page_rows.h"
#include "store/scan.h"

/* sierra_source_search() ends when it is within this number of rows. */
#define SIERRA_SEARCH_ENOUGH 8

/* A partition, or a category of it, that is read, and its current row. */
typedef struct SierraSource
{
	SierraReadPartition partition; /* filled before, by sierra_horizon() for example */
	const text *category;		   /* only events of this category, or NULL */
	Relation category_index;	   /* by which they are found */
	int id;						   /* for the caller */
	bool with_gaps;				   /* do not report sequences without events */
	SierraScan scan;
	SierraPageRows pages; /* not used for a category */
	bool scanning;
	bool by_pages; /* how the current row was found, else by the index */
	ScanDirection direction;
	int64 window;		  /* number of rows that the next index scan covers */
	int64 next;			  /* sequence where the next index scan begins */
	bool window_is_empty; /* the scan has not found a row yet */
	bool window_is_last;  /* no index scan is needed after this one */
	int64 sequence;		  /* of the current row */
	int64 position;		  /* of the current row */
	ItemPointerData row;  /* the current row, if the index found it */
} SierraSource;

/*
 * Prepares a source to be read; members up to with_gaps are filled already.  window is the
 * number of rows that the caller will probably need.
 */
extern void sierra_source_begin(SierraSource *source, int64 window);
extern void sierra_source_end(SierraSource *source);

/*
 * Makes the row with this sequence, or the first one after it in this direction,
 * current; false if there is none.
 */
extern bool sierra_source_start(SierraSource *source, int64 sequence, ScanDirection direction);

/*
 * For a source of all events.  Makes the first row above a position, or sequence, current;
 * it is not beyond the newest.  *passed is the sequence of the row before it, or SIERRA_NONE.
 * Does not use the index, and returns false if it does not find the row without it.  guess is
 * the page where it may be, or InvalidBlockNumber.
 */
extern bool sierra_source_start_on_page(SierraSource *source, SierraPageKey key, int64 after,
										BlockNumber guess, int64 *passed);

/* The page of the current row if it was found without the index, else InvalidBlockNumber. */
extern BlockNumber sierra_source_page(const SierraSource *source);

/* Is the event with this sequence, which the active snapshot sees, at this position or below? */
extern bool sierra_source_reaches(SierraSource *source, int64 sequence, int64 position);

/* Makes the next row current; false if the active snapshot sees no more rows. */
extern bool sierra_source_advance(SierraSource *source);

/*
 * For a source of all events.  Searches the last row at or below a position, and returns its
 * sequence or one that is at most SIERRA_SEARCH_ENOUGH lower.  Returns SIERRA_NONE if all rows are
 * above the position, or only the first few are not.
 */
extern int64 sierra_source_search(SierraSource *source, int64 position);

/* The same by the index alone. */
extern int64 sierra_source_search_index(SierraSource *source, int64 position);

#endif /* SIERRA_PARTITION_CURSOR_H */
