/*
 * delivery.h
 *		The consuming engine: what a subscription delivers next.
 */
#ifndef SIERRA_DELIVERY_H
#define SIERRA_DELIVERY_H

#include "read/event_rows.h"

#include "utils/timestamp.h"

typedef struct SierraConsume
{
	text *subscription;
	text *consumer;		/* NULL: no group */
	Oid lease_function; /* join_group(), for a group */
	bool has_after;		/* the caller fetches ahead: what follows after */
	int64 after;
	int64 wait_usecs; /* how long to wait for an event */
} SierraConsume;

/*
 * Puts the next events into the result, at most as many as it takes.  Raises
 * SE007, SE008, 55000 for a subscription that a group consumes when there is no
 * consumer, and 25001 for waiting in a transaction that cannot see what comes.
 */
extern void sierra_consume(const SierraConsume *consume, SierraEventRows *result);

/* The same without locks, leases, waiting and rows written. */
extern void sierra_peek_events(text *subscription, SierraEventRows *result);

#endif /* SIERRA_DELIVERY_H */
