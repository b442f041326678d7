/*
 * await.h
 *		Waiting until an event is processed, or can be read.
 */
#ifndef SIERRA_AWAIT_H
#define SIERRA_AWAIT_H

#include "store/store.h"

#include "utils/timestamp.h"

/*
 * Waits until a subscription has processed the event at a position: its
 * partition's cursor is there, or the subscription does not want it.  Without
 * subscription (NULL), until the event can be read here; that is also the answer
 * on a standby.  False after so many microseconds.
 */
extern bool sierra_await(const SierraStore *store, text *subscription, int64 position,
						 int64 timeout_usecs);

/* Raises 25001 if the transaction would not see what is committed in that time. */
extern void sierra_refuse_waiting(int64 usecs);

#endif /* SIERRA_AWAIT_H */
