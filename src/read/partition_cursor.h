/*
 * partition_cursor.h
 *		One partition while the whole store is read: rows by sequence, places
 *		by position.
 */
#ifndef SIERRA_PARTITION_CURSOR_H
#define SIERRA_PARTITION_CURSOR_H

#include "read/horizon.h"
#include "store/scan.h"

/* A place is at most so many rows below the one that is looked for. */
#define SIERRA_SEARCH_ENOUGH 8

typedef struct SierraSource
{
	SierraReadPartition partition; /* filled by sierra_horizon() */
	SierraScan scan;
	bool scanning;
	ScanDirection direction;
	int64 window;	/* rows that the next index scan covers */
	int64 next;		/* sequence where it begins */
	int64 sequence; /* of the current row */
	int64 position; /* of the current row */
} SierraSource;

/*
 * Makes a source whose partition is filled ready to be read.  window is the number
 * of rows that will probably be wanted of it.
 */
extern void sierra_source_begin(SierraSource *source, int64 window);
extern void sierra_source_end(SierraSource *source);

/* Makes the row with this sequence, or the first after it, current. */
extern bool sierra_source_start(SierraSource *source, int64 sequence, ScanDirection direction);

/* Makes the next row current; false when the snapshot sees no more. */
extern bool sierra_source_advance(SierraSource *source);

/*
 * A sequence at or below a position, and at most SIERRA_SEARCH_ENOUGH rows
 * below the last such; SIERRA_NONE if it can be that all rows are above.
 */
extern int64 sierra_source_search(SierraSource *source, int64 position);

#endif /* SIERRA_PARTITION_CURSOR_H */
