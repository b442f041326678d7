/*
 * position.h
 *		Global positions: one sequence object per store.
 */
#ifndef SIERRA_POSITION_H
#define SIERRA_POSITION_H

#include "store.h"

/*
 * The next position.  The caller holds the lock of the partition that the event
 * goes to, whose newest event has position tail.
 */
extern int64 sierra_position_next(const SierraStore *store, int64 tail);

/* The last position given out so far, or SIERRA_NONE. */
extern int64 sierra_position_last(const SierraStore *store);

/*
 * Once per session and store, before its first append: puts the sequence above
 * the store's events if it is not.
 */
extern void sierra_position_check(const SierraStore *store);

#endif /* SIERRA_POSITION_H */
