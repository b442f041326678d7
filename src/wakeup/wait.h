/*
 * wait.h
 *		Waits for events: sleeps until there may be new ones.
 *
 *		SierraWaiter waiter;
 *
 *		sierra_wait_begin(&waiter);
 *		while (!(found = look_for_events()) && sierra_wait_next(&waiter, deadline))
 *			;
 *		sierra_wait_end(&waiter);
 *
 * look_for_events() needs a new snapshot each time, taken after sierra_wait_begin()
 * or sierra_wait_next() returned.  A wake-up is only a hint: it means that a
 * transaction of this database ended, not that there is an event for the caller.
 */
#ifndef SIERRA_WAIT_H
#define SIERRA_WAIT_H

#include "base/clock.h"

struct SierraDatabaseSlot;

typedef struct SierraWaiter
{
	int place;						 /* its number among sierra_es.max_waiters places */
	struct SierraDatabaseSlot *slot; /* NULL without shared memory */
	uint64 wakeups;					 /* of the slot, read before the caller looked */
	bool woken;						 /* the doorbell rang just now: the next sleep is short */
} SierraWaiter;

/*
 * Takes one of the sierra_es.max_waiters places of this database; raises 53400 if all
 * are taken.  The end of the transaction, or an error, releases the place too.
 */
extern void sierra_wait_begin(SierraWaiter *waiter);

/*
 * Sleeps until the doorbell has rung since the last call, until it is time to look
 * anyway, or until the deadline (SIERRA_NEVER for none).  Returns true: look again.  If
 * the deadline had passed before the call, returns false without sleeping; then the
 * caller has already looked after the deadline.  The sleep can be cancelled.  It also
 * works on a standby, where nothing rings the doorbell.
 */
extern bool sierra_wait_next(SierraWaiter *waiter, SierraTime deadline);

/* Releases the place. */
extern void sierra_wait_end(SierraWaiter *waiter);

#endif /* SIERRA_WAIT_H */
