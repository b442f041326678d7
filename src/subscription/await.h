/*
 * await.h
 *		Waiting until an event is processed, or can be read.
 */
#ifndef SIERRA_AWAIT_H
#define SIERRA_AWAIT_H

#include "store/store.h"

#include "utils/timestamp.h"

/*
 * Waits until a subscription has processed the event at a position: the cursor
 * of its partition is at the position, or the subscription does not want the
 * event.  Without a subscription (NULL), waits until the event can be read by
 * this session; so on a standby it waits until the event is replicated.
 * Returns false if that has not happened after timeout_usecs.
 */
extern bool sierra_await(const SierraStore *store, text *subscription, int64 position,
						 int64 timeout_usecs);

/*
 * Waits until the whole store can be read beyond a position, and returns the horizon (see
 * read/horizon.h): it is not above the position if that has not happened after timeout_usecs.
 * Unlike an event, a position that an append has left unused ends the wait, too.
 */
extern int64 sierra_await_horizon(const SierraStore *store, int64 position, int64 timeout_usecs);

/*
 * Raises 25001 if usecs is more than 0 and the transaction would not see what
 * is committed while it waits.
 */
extern void sierra_refuse_waiting(int64 usecs);

#endif /* SIERRA_AWAIT_H */
