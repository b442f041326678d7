/*
 * position_sequence.h
 *		The sequence object that global positions are taken from.
 */
#ifndef SIERRA_POSITION_SEQUENCE_H
#define SIERRA_POSITION_SEQUENCE_H

#include "store/store.h"

/* The last position that was taken so far, or SIERRA_NONE. */
extern int64 sierra_position_last(const SierraStore *store);

/*
 * Takes count (from 1) positions that follow each other and returns the first.  Other
 * sessions get none between them.  Positions that a transaction took and rolled
 * back are not given out again.  Keeps RowExclusiveLock on the sequence to the end
 * of the transaction, as nextval() does.
 *
 * Raises 2200H if the sequence has fewer left, SE005 if it was dropped.
 */
extern int64 sierra_position_take_next(const SierraStore *store, int64 count);

#endif /* SIERRA_POSITION_SEQUENCE_H */
