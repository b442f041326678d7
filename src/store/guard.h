/*
 * guard.h
 *		The guard of event tables: a trigger that lets only the engine write them.
 *
 * How many partitions a store has is an argument of this trigger.
 */
#ifndef SIERRA_GUARD_H
#define SIERRA_GUARD_H

#include "utils/relcache.h"
#include "utils/reltrigger.h"

/* The guard trigger of a table of a store, or NULL; points into the relation. */
extern const Trigger *sierra_guard_find(Relation rel);

/*
 * Around an INSERT of the engine itself that has to go through the executor, and
 * so through the guard.  The guard takes the permit of the first statement;
 * withdrawing what was not taken keeps others from taking it.
 */
extern void sierra_guard_give_permit(Oid relation);
extern void sierra_guard_withdraw_permit(void);

#endif /* SIERRA_GUARD_H */
