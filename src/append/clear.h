/*
 * clear.h
 *		Empties the event tables of a store.
 */
#ifndef SIERRA_CLEAR_H
#define SIERRA_CLEAR_H

#include "store/store.h"

/* How many events a store has, as of this moment; also those that a policy hides. */
extern int64 sierra_clear_count(const SierraStore *store);

/*
 * Deletes all events of a store, with its stream keys, event ids and tags, and lets its
 * sequence of positions begin again.  Returns the number of events.  The caller owns the
 * store, and has locked the table of events with its partitions (AccessExclusiveLock).
 */
extern int64 sierra_clear_events(const SierraStore *store);

#endif /* SIERRA_CLEAR_H */
