/*
 * wait.h
 *		Waiting for events: sleeps until there may be something new.
 *
 *		SierraWaiter waiter;
 *
 *		sierra_wait_begin(&waiter);
 *		while (!(found = look_for_events()) && sierra_wait_next(&waiter, deadline))
 *			;
 *		sierra_wait_end(&waiter);
 *
 * Each look needs a snapshot of its own, taken after sierra_wait_begin() or
 * sierra_wait_next() returned.  A wake-up is a hint: it says that something was
 * committed in this database, not that there is an event for the caller.
 */
#ifndef SIERRA_WAIT_H
#define SIERRA_WAIT_H

#include "utils/timestamp.h"

struct SierraDatabaseSlot;

typedef struct SierraWaiter
{
	int place;						 /* which of the sierra_es.max_waiters places it has */
	struct SierraDatabaseSlot *slot; /* NULL without preloading */
	uint64 wakeups;					 /* of the bell, read before the caller looked */
	bool woken;						 /* it rang just now: the next sleep is short */
} SierraWaiter;

/*
 * Takes a place among those who wait in this database; 53400 when all are
 * taken.  An error gives the place back, as the end of the transaction does.
 */
extern void sierra_wait_begin(SierraWaiter *waiter);

/*
 * Sleeps until the bell rang since the last call, or until it is time to look
 * anyway, or until the deadline (DT_NOEND for none).  True: look again.  False,
 * without sleeping: the deadline had passed, and the caller has looked since.
 * Can be cancelled; sleeps on a standby too, where nothing rings.
 */
extern bool sierra_wait_next(SierraWaiter *waiter, TimestampTz deadline);

extern void sierra_wait_end(SierraWaiter *waiter);

#endif /* SIERRA_WAIT_H */
