/*
 * runner_pool.h
 *		The runners of a server: which databases have one, and which get one.
 */
#ifndef SIERRA_RUNNER_POOL_H
#define SIERRA_RUNNER_POOL_H

#include "utils/timestamp.h"

#include "wakeup/shared.h"

/* For the launcher: starts runners and asks others to leave; returns when to call again. */
extern TimestampTz sierra_pool_schedule(TimestampTz now);

/* For a new launcher: frees slots that the launcher before it has reserved. */
extern void sierra_pool_take_over(void);

/* The doorbell of this database rang: asks for a runner if it has none. */
extern void sierra_pool_call(SierraDatabaseSlot *slot);

/* How many runners a database has.  The caller holds sierra_shared->lock. */
extern int sierra_pool_count(Oid database);

/*
 * The same, without those that are stuck: whose job has taken so long that others
 * should not wait for it.
 */
extern int sierra_pool_free_count(Oid database);

/* Is a runner slot free, and no database waits for one? */
extern bool sierra_pool_has_room(void);

/*
 * Whose jobs the other runners of this database run, without those that are stuck.
 * Returns how many there are; the array has SIERRA_RUNNERS_MAX members.
 */
extern int sierra_pool_served_by_others(SierraJobOwner *owners);

/*
 * Wakes the runners of a database, so that they check whether they have to
 * leave; with signal, sends them SIGTERM too.  Returns how many there are.
 */
extern int sierra_pool_ask_to_leave(Oid database, bool signal);

#endif /* SIERRA_RUNNER_POOL_H */
