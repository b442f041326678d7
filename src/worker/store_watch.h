/*
 * store_watch.h
 *		What is new in the stores of a database, for its worker.
 */
#ifndef SIERRA_STORE_WATCH_H
#define SIERRA_STORE_WATCH_H

#include "wakeup/shared.h"

#include "nodes/pg_list.h"

/* The schemas of all stores of the database. */
extern List *sierra_watch_list(void);

/*
 * How many events a store has, its newest position, and the newest that can be read; false if
 * it could not be looked at just now.  In a transaction with an active snapshot.
 */
extern bool sierra_watch_look(Oid schema, int64 *events, int64 *readable, int64 *newest);

/*
 * These look at stores and send NOTIFY for those with something new.  They are
 * called in a transaction with an active snapshot, call between() now and then,
 * and return how many notifications they sent.
 *
 * A ring is news by itself, unless its appender wanted no NOTIFY: then what it
 * wrote is only remembered as known.  A store that was looked at a moment ago is
 * announced without a look, and looked at when sierra_watch_due() says so.
 */
extern int sierra_watch_rings(const SierraRings *rings, void (*between)(void));
extern int sierra_watch_again(void (*between)(void));
extern int sierra_watch_all(void (*between)(void));

/* When to call sierra_watch_again(); DT_NOEND for not at all. */
extern TimestampTz sierra_watch_due(void);

#endif /* SIERRA_STORE_WATCH_H */
