/*
 * tag_cursor.h
 *		Finds the places of events by their tags, in the order of positions.
 */
#ifndef SIERRA_TAG_CURSOR_H
#define SIERRA_TAG_CURSOR_H

#include "access/genam.h"
#include "access/relscan.h"
#include "access/sdir.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "store/event_query.h"
#include "store/store.h"

/* Where an entry of table event_tags says that an event is. */
typedef struct SierraPlace
{
	int64 position;
	int32 partition;
	int64 sequence;
} SierraPlace;

/* The entries of one tag. */
typedef struct SierraTagScan
{
	const text *tag;
	IndexScanDesc desc; /* NULL: not begun */
	int64 width;		/* of the next window of positions that is read */
	int64 last;			/* position of this window */
	bool ended;
	SierraPlace place; /* of the current entry */
} SierraTagScan;

/* The entries that all tags of one item of a query have. */
typedef struct SierraItemScan
{
	int count;
	SierraTagScan *scans;
	bool ended;
} SierraItemScan;

typedef struct SierraTagCursor
{
	Relation rel; /* event_tags */
	Relation index;
	Snapshot snapshot;
	ScanDirection direction;
	int64 low; /* only positions from low to high */
	int64 high;
	int count;
	SierraItemScan *items;
	SierraPlace last; /* the last place that was found */
} SierraTagCursor;

/*
 * Begins to read the entries of the items of a query, each of which has tags, between two
 * positions, both included.  Raises SE005 if table event_tags has been altered.
 *
 * Entries are not rows of a snapshot: one can be of an event that the caller cannot see, or
 * of an append that was rolled back.  So the caller looks at the event itself, whether it
 * is there, has this position, and is what the query matches.  Under SERIALIZABLE an
 * append that adds an entry to what has been read is a conflict.
 */
extern void sierra_tag_cursor_begin(SierraTagCursor *cursor, const SierraStore *store,
									const SierraEventQuery *query, Snapshot snapshot,
									ScanDirection direction, int64 low, int64 high);

/* The next place, in the order of positions; it can be one that was returned before. */
extern bool sierra_tag_cursor_next(SierraTagCursor *cursor, SierraPlace *place);

extern void sierra_tag_cursor_end(SierraTagCursor *cursor);

#endif /* SIERRA_TAG_CURSOR_H */
