/*
 * idempotency.h
 *		Idempotency: is this append the repetition of an earlier one?
 */
#ifndef SIERRA_IDEMPOTENCY_H
#define SIERRA_IDEMPOTENCY_H

#include "append/insert.h"
#include "append/route.h"

/*
 * Looks for the event ids that the client chose; the route is open and locked.
 *
 * DONE: none of the ids is in use, so the append may continue.
 * REPEATED: all events of the call are stored in their streams, in this order, without
 * others between them; fills results with those of the first append.
 * DUPLICATE_EVENT: everything else; fills *refusal.
 */
extern SierraAppendStatus sierra_idempotency_check(SierraRoute *route, SierraAppendResult *results,
												   SierraRefusal *refusal);

#endif /* SIERRA_IDEMPOTENCY_H */
