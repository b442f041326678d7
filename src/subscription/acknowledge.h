/*
 * acknowledge.h
 *		What consumers say about the events that were delivered to them.
 */
#ifndef SIERRA_ACKNOWLEDGE_H
#define SIERRA_ACKNOWLEDGE_H

#include "store/store.h"

/*
 * Acknowledges all events that were delivered up to a position.  If the
 * position is that of an event of a diverted stream, it acknowledges only that
 * stream's events up to it.  consumer is NULL without a group.  Returns the
 * acknowledged cursor of the subscription, or of the consumer's partitions.
 * Acknowledging again changes nothing.
 *
 * Raises SE007, SE008, 55000 if a group consumes the subscription and consumer
 * is NULL, and 22023 for a position that was not delivered.  Holds the lock of
 * sierra_subscription_lock() until the transaction ends.
 */
extern int64 sierra_acknowledge(const SierraStore *store, text *subscription, int64 position,
								text *consumer);

typedef struct SierraFailure
{
	int64 position;
	Datum retry_after; /* interval */
	bool doubles;	   /* the pause doubles with each attempt, as retry_pause() says */
	text *reason;	   /* or NULL */
	bool park;		   /* park the event now, whatever the number of attempts */
} SierraFailure;

/*
 * Diverts the stream of a failed event.  The event is delivered again after
 * retry_after, or is parked.  Earlier events of the stream count as done.
 * Returns true if the event is parked.  Locks and errors are those of
 * sierra_acknowledge().
 */
extern bool sierra_reject(const SierraStore *store, text *subscription,
						  const SierraFailure *failure, text *consumer);

#endif /* SIERRA_ACKNOWLEDGE_H */
