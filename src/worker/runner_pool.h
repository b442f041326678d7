/*
 * runner_pool.h
 *		The runners of a server: which databases have one, and which are to get one.
 */
#ifndef SIERRA_RUNNER_POOL_H
#define SIERRA_RUNNER_POOL_H

#include "utils/timestamp.h"

#include "wakeup/shared.h"

/* For the launcher: makes runners come and go; returns when to call again. */
extern TimestampTz sierra_pool_schedule(TimestampTz now);

/* For a new launcher: forgets what one before has asked for. */
extern void sierra_pool_take_over(void);

/* The bell of this database rang: it gets a runner if it has none. */
extern void sierra_pool_call(SierraDatabaseSlot *slot);

/* How many runners a database has; the caller holds the doorbell's lock. */
extern int sierra_pool_count(Oid database);

/*
 * Asks the runners of a database to look whether they are to end, and with a
 * signal tells them; returns how many there are.
 */
extern int sierra_pool_ask_to_leave(Oid database, bool signal);

#endif /* SIERRA_RUNNER_POOL_H */
