/*
 * page_rows.h
 *		Reads the rows of a partition from the pages of its table, without an index.
 */
#ifndef SIERRA_PAGE_ROWS_H
#define SIERRA_PAGE_ROWS_H

#include "access/htup.h"
#include "executor/tuptable.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "storage/off.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "store/event.h"

/* The pages of a partition, one of which is pinned, and a place on it. */
typedef struct SierraPageRows
{
	Relation rel; /* NULL: pages cannot be read, use an index */
	Snapshot snapshot;
	BlockNumber end; /* only pages before this one are read */
	BlockNumber block;
	Buffer buffer;		   /* of this block, or InvalidBuffer */
	OffsetNumber next;	   /* where to look for the next row */
	OffsetNumber verified; /* from next to before this place, rows are known to follow */
} SierraPageRows;

/* What sierra_page_rows_search() compares. */
typedef enum SierraPageKey
{
	SIERRA_BY_SEQUENCE,
	SIERRA_BY_POSITION
} SierraPageKey;

/* Can pages of this table be read?  Not under SERIALIZABLE, or if the table is not a heap. */
extern bool sierra_page_rows_usable(Relation rel, Snapshot snapshot);

/* Begins to read pages before this one; none if they are not usable. */
extern void sierra_page_rows_begin(SierraPageRows *rows, Relation rel, Snapshot snapshot,
								   BlockNumber end);
extern void sierra_page_rows_end(SierraPageRows *rows);

/* Continue behind this row of the table. */
extern void sierra_page_rows_follow(SierraPageRows *rows, const ItemPointerData *row);

/*
 * Puts the row with this sequence into the slot if it is the next one that the snapshot sees,
 * on this page or the one behind it, and returns its fixed columns.  NULL if it is not: then an
 * index finds it.
 */
extern const SierraEventFixed *sierra_page_rows_next(SierraPageRows *rows, int64 sequence,
													 TupleTableSlot *slot);

/*
 * Searches the row of which the sequence or position is the highest up to value, and puts its
 * sequence into *sequence: SIERRA_NONE if the first row is above.  The snapshot sees this row,
 * and it is not above value; but it is the highest one only if sierra_page_rows_next(), which
 * continues behind it, finds the next sequence, and that is above.  newest is the value of the
 * last row; guess is the page where to begin, or InvalidBlockNumber.  False if it does not
 * find the place; then use an index.
 */
extern bool sierra_page_rows_search(SierraPageRows *rows, SierraPageKey key, int64 value,
									int64 newest, BlockNumber guess, int64 *sequence);

#endif /* SIERRA_PAGE_ROWS_H */
