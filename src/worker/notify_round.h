/*
 * notify_round.h
 *		Rounds of notifications: a runner looks at stores and sends NOTIFY.
 */
#ifndef SIERRA_NOTIFY_ROUND_H
#define SIERRA_NOTIFY_ROUND_H

#include "wakeup/shared.h"

/*
 * For a runner that came to a database; "alone" says that there is no other.  Then it
 * looks at all stores first, because nobody knows what has not rung meanwhile.
 */
extern void sierra_rounds_begin(SierraDatabaseSlot *slot, bool alone);

/*
 * Does a round if one is due and no other runner of the database has begun it.  Returns
 * false if the extension does not exist any more.
 */
extern bool sierra_rounds_run(void);

/* The next round looks at all stores, and is due at once. */
extern void sierra_rounds_sweep_soon(void);

/* When the next round is due; without sweeps, only for what is known to be new. */
extern SierraTime sierra_rounds_due(bool with_sweep);

/* For a runner that ends, perhaps within a round: what it took is left to the next one. */
extern void sierra_rounds_end(void);

#endif /* SIERRA_NOTIFY_ROUND_H */
