/*
 * acknowledge.h
 *		What consumers say about the events that were delivered to them.
 */
#ifndef SIERRA_ACKNOWLEDGE_H
#define SIERRA_ACKNOWLEDGE_H

#include "store/store.h"

/*
 * Acknowledges all that was delivered up to a position; of a diverted stream, its
 * events up to that one.  Returns the acknowledged cursor of the subscription,
 * or of the consumer's partitions.  Acknowledging again changes nothing.
 * Raises SE007, SE008, and 22023 for a position that was not delivered.
 */
extern int64 sierra_acknowledge(const SierraStore *store, text *subscription, int64 position,
								text *consumer);

typedef struct SierraFailure
{
	int64 position;
	Datum retry_after; /* interval */
	text *reason;	   /* or NULL */
	bool park;		   /* at once, whatever the number of attempts */
} SierraFailure;

/*
 * Diverts the stream of a failed event, to come again after a while, or
 * parks it.  Earlier events of the stream count as done.  True if parked.
 * Raises what sierra_acknowledge() does.
 */
extern bool sierra_reject(const SierraStore *store, text *subscription,
						  const SierraFailure *failure, text *consumer);

#endif /* SIERRA_ACKNOWLEDGE_H */
