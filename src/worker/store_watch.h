/*
 * store_watch.h
 *		What is new in the stores of a database, for NOTIFY.
 */
#ifndef SIERRA_STORE_WATCH_H
#define SIERRA_STORE_WATCH_H

#include "wakeup/shared.h"

#include "nodes/pg_list.h"

/* The schemas of all stores of the database.  Called in a transaction. */
extern List *sierra_watch_list(void);

/*
 * How many events a store has, its newest position, and the highest position
 * that can be read; false if it cannot be looked at now.  Called in a
 * transaction with an active snapshot.
 */
extern bool sierra_watch_look(Oid schema, int64 *events, int64 *readable, int64 *newest);

/*
 * These look at stores and send NOTIFY for those with something new: at stores
 * that rang, at stores that rang and were not looked at yet, at all stores.
 * They are called in a transaction with an active snapshot, and return how many
 * notifications they sent.
 *
 * A store that rang is announced, unless the append wanted no NOTIFY; then its
 * events are only remembered as known.  A store that was looked at a moment ago
 * is announced without a look, and looked at later, when sierra_watch_due()
 * says so.
 */
extern int sierra_watch_rings(const SierraRings *rings);
extern int sierra_watch_again(void);
extern int sierra_watch_all(void);

/* When to call sierra_watch_again(); SIERRA_NEVER if there is no need to. */
extern SierraTime sierra_watch_due(void);

/*
 * How much of the time since the last call was that of stores that are slow to look at.
 * These are looked at less often, and must not delay the notifications of others.
 */
extern SierraTime sierra_watch_take_slow_time(void);

/*
 * How much of the time of the last round belongs to the sweep before it, which had left
 * stores out since others of their owner took the time.
 */
extern SierraTime sierra_watch_left_out_time(void);

/* Has this process found events in a store that had not rung? */
extern bool sierra_watch_found_unrung(void);

#endif /* SIERRA_STORE_WATCH_H */
