/*
 * guard.h
 *		The guard of event tables: a trigger that lets only the append functions write
 *		to them.
 *
 * The number of partitions of a store is an argument of this trigger.
 */
#ifndef SIERRA_GUARD_H
#define SIERRA_GUARD_H

#include "utils/relcache.h"
#include "utils/reltrigger.h"

/* The guard trigger of a table, or NULL; points into the relcache entry of the table. */
extern const Trigger *sierra_guard_find(Relation rel);

/*
 * An append that has to run an INSERT in the executor, and so fires the guard,
 * calls these before and after it.  The guard accepts the next INSERT into the
 * relation and uses up the permit with it.  Withdrawing the permit afterwards
 * makes sure that no other statement can use it.
 */
extern void sierra_guard_give_permit(Oid relation);
extern void sierra_guard_withdraw_permit(void);

#endif /* SIERRA_GUARD_H */
