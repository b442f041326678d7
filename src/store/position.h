/*
 * position.h
 *		Global positions: one sequence object per store.
 */
#ifndef SIERRA_POSITION_H
#define SIERRA_POSITION_H

#include "store/store.h"

/*
 * Takes count positions that follow each other and returns the first, which is
 * above floor.  The caller holds the locks of the partitions that the events go to;
 * floor is the highest position in them, or SIERRA_NONE.  Raises 2200H if there are
 * fewer left.
 */
extern int64 sierra_position_take(const SierraStore *store, int64 count, int64 floor);

/*
 * Called before each append; works only before the first append of the session to
 * the store, and again after rows were loaded into it.  If the sequence of positions
 * is behind the events of the store, sets it to the newest of them.
 */
extern void sierra_position_check(const SierraStore *store);

/*
 * Called before and after events are written whose lowest position is first.
 * Triggers and policies that run in between may read the store, and must not read
 * past these events.  They may append too, but not to the partitions that are noted: the
 * numbers there are given to events that are still to be written.  PG_INT64_MAX: no event is
 * written now, but later.
 */
extern void sierra_position_begin_writing(const SierraStore *store, int64 first);
extern void sierra_position_note_written(int partition);
extern void sierra_position_end_writing(void);

/* Is this session writing events to this partition at this moment? */
extern bool sierra_position_writes_partition(const SierraStore *store, int partition);

/* The lowest position that this session is writing at this moment, or PG_INT64_MAX. */
extern int64 sierra_position_being_written(const SierraStore *store);

#endif /* SIERRA_POSITION_H */
