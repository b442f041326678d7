/*
 * pending.h
 *		The oldest event that a subscription has still to process, for those that watch it.
 */
#ifndef SIERRA_PENDING_H
#define SIERRA_PENDING_H

#include "base/clock.h"
#include "store/store.h"

#include "utils/timestamp.h"

typedef enum SierraPending
{
	SIERRA_PENDING_NONE,   /* it has processed all that can be read */
	SIERRA_PENDING_FOUND,  /* there is such an event */
	SIERRA_PENDING_UNKNOWN /* not known by the time given, on a standby, or under row-level security
							*/
} SierraPending;

/*
 * Looks for the first event after the cursor that the subscription wants, in a partition or
 * in all (SIERRA_WHOLE), until a time; *at is the time of the event.  Events of streams
 * that wait behind a failure do not count.  It always passes over SIERRA_ASK_EVERY events, so
 * that one that comes soon is found.  Raises SE007 if there is no such subscription.
 *
 * If the subscription wants few of many events, the look can take long.  For SIERRA_WHOLE
 * the session remembers how far it came, and the next call continues there.
 */
extern SierraPending sierra_pending_find(const SierraStore *store, text *name, int partition,
										 SierraTime give_up, TimestampTz *at);

/*
 * How many events are after the cursor in the partitions of the subscription, or of a
 * consumer (NULL: of all), wanted or not; -1 under row-level security, which hides some.
 * Raises SE007 if there is no such subscription.
 */
extern int64 sierra_pending_count(const SierraStore *store, text *name, text *consumer);

#endif /* SIERRA_PENDING_H */
