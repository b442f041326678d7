/*
 * idempotency.h
 *		Idempotency: is this append the repetition of one that stands?
 */
#ifndef SIERRA_IDEMPOTENCY_H
#define SIERRA_IDEMPOTENCY_H

#include "append/insert.h"
#include "append/route.h"

/*
 * Looks for the event ids that the client chose.  None of them stands: DONE,
 * the append may go on.  All events stand in their streams, in this order,
 * without others between: REPEATED, with their first numbers.  Else
 * DUPLICATE_EVENT.
 */
extern SierraAppendStatus sierra_idempotency_check(SierraRoute *route, SierraAppendResult *results,
												   SierraRefusal *refusal);

#endif /* SIERRA_IDEMPOTENCY_H */
