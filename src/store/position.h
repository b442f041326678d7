/*
 * position.h
 *		Global positions: one sequence object per store.
 */
#ifndef SIERRA_POSITION_H
#define SIERRA_POSITION_H

#include "store/store.h"

/*
 * The next position.  The caller holds the lock of the partition that the event
 * goes to, whose newest event has position tail.
 */
extern int64 sierra_position_next(const SierraStore *store, int64 tail);

/* The last position given out so far, or SIERRA_NONE. */
extern int64 sierra_position_last(const SierraStore *store);

/*
 * Before the first append of a session to a store, and again after rows were
 * loaded into it: puts the sequence above the store's events if it is not.
 */
extern void sierra_position_check(const SierraStore *store);

/*
 * Brackets the writing of events that have taken positions from first on.  User
 * code that runs in between and reads the store must not get past them.
 */
extern void sierra_position_begin_writing(const SierraStore *store, int64 first);
extern void sierra_position_end_writing(void);

/* The lowest position that this session is just writing, or PG_INT64_MAX. */
extern int64 sierra_position_being_written(const SierraStore *store);

#endif /* SIERRA_POSITION_H */
