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
	bool has_after;		/* the caller fetches ahead, and wants what follows after */
	int64 after;
	int64 wait_usecs; /* how long to wait for an event; 0: not at all */
} SierraConsume;

/*
 * Puts the next events of a subscription into the result, up to the result's
 * limit.  Raises SE007, SE008, 55000 if a group consumes the subscription and
 * consumer is NULL, 25001 for waiting in a transaction that cannot see what is
 * committed meanwhile, and 25006 if the transaction cannot write.  Holds the
 * lock of sierra_subscription_lock() until the transaction ends, unless nothing
 * was found.
 */
extern void sierra_consume(const SierraConsume *consume, SierraEventRows *result);

/* The same, but takes no locks and no leases, does not wait, and writes nothing. */
extern void sierra_peek_events(text *subscription, SierraEventRows *result);

#endif /* SIERRA_DELIVERY_H */
