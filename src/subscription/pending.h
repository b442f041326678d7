/*
 * pending.h
 *		The oldest event that a subscription has still to process, for those that watch it.
 */
#ifndef SIERRA_PENDING_H
#define SIERRA_PENDING_H

#include "base/clock.h"
#include "store/store.h"

#include "utils/timestamp.h"

/* What a session remembers of a subscription.  Its events are those behind the cursor. */
typedef struct SierraPendingMemo
{
	int64 passed;	 /* no event up to here is wanted */
	int64 position;	 /* of the oldest event at the last look, or SIERRA_NONE */
	int32 partition; /* of this event */
	TimestampTz at;	 /* its time */
	uint64 look;	 /* a number that ascends with each look of the session; 0: never */
	uint32 diverted; /* a hash of the diverted streams at this look */
} SierraPendingMemo;

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
 * that wait behind a failure do not count, unless its next attempt is due.  It always passes over
 * SIERRA_ASK_EVERY events, so that one that comes soon is found.  Raises SE007 if the
 * subscription does not exist.
 *
 * If the subscription wants few of many events, the look can take long.  For SIERRA_WHOLE
 * the session remembers how far it came, and the next call continues there.
 */
extern SierraPending sierra_pending_find(const SierraStore *store, text *name, int partition,
										 SierraTime give_up, TimestampTz *at);

/* The same for streams that wait behind a failure whose next attempt is due, up to a hundred. */
extern SierraPending sierra_pending_find_due(const SierraStore *store, text *name, int partition,
											 SierraTime give_up, TimestampTz *at);

/* What the session remembers of the subscription with this name that was created then, if anything.
 */
extern SierraPendingMemo *sierra_pending_recall(const SierraStore *store, const text *name,
												TimestampTz created_at);

/*
 * How many events are after the cursor in the partitions of the subscription, wanted or not; -1
 * under row-level security, which hides some.  Raises SE007 if it does not exist.
 */
extern int64 sierra_pending_count(const SierraStore *store, text *name);

#endif /* SIERRA_PENDING_H */
