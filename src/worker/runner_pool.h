/*
 * runner_pool.h
 *		The runners of a server: which databases have one, and which get one.
 */
#ifndef SIERRA_RUNNER_POOL_H
#define SIERRA_RUNNER_POOL_H

#include "wakeup/shared.h"

#include "nodes/pg_list.h"

/* What the launcher is to do: where to start runners, and when to plan again. */
typedef struct SierraPlan
{
	int used;	 /* slots that are not free */
	int leaving; /* those of them whose runner was asked to leave */
	int wanted;	 /* databases that need a runner now */
	int count;	 /* of them, those that are to get one; they come first in turn */
	Oid start[SIERRA_RUNNERS_MAX];
	SierraTime waiting_since[SIERRA_RUNNERS_MAX];
	SierraTime wake_at;
} SierraPlan;

/*
 * For the launcher: makes a plan, and asks runners to leave whose slots are needed.
 * unvisited has databases without a slot that nobody has looked at; "ending" is the
 * number of processes that have freed their slot and have not ended yet.
 */
extern void sierra_pool_plan(SierraPlan *plan, const List *unvisited, int ending, SierraTime now);

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
 * Would another job of this owner of stores leave no runner to anybody else, because the
 * other ones are all running such jobs?  Not if there is only one.  The caller holds
 * sierra_shared->lock.
 */
extern bool sierra_pool_is_last_place(Oid store_owner);

/* Do other databases have the extension too?  The caller holds sierra_shared->lock. */
extern bool sierra_pool_has_other_databases(void);

/*
 * Wakes the runners of a database, so that they check whether they have to
 * leave; with signal, sends them SIGTERM too.  Returns how many there are.
 */
extern int sierra_pool_ask_to_leave(Oid database, bool signal);

#endif /* SIERRA_RUNNER_POOL_H */
