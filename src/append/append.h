/*
 * append.h
 *		The append engine.
 */
#ifndef SIERRA_APPEND_H
#define SIERRA_APPEND_H

#include "append/insert.h"
#include "append/refusal.h"
#include "store/event.h"
#include "store/store.h"

/*
 * Appends count events (each checked by sierra_event_check()) as one: all or
 * none.  With a key, every stream of the call belongs to it; without, each
 * stream keeps the key it has or gets that of its name.  Each event's expected
 * version is compared with the stream as the events before it left it.
 *
 * Fills numbers[0 .. count - 1] when DONE or REPEATED, *refusal otherwise.
 * The caller checked the INSERT right.  Raises what is no refusal: read-only
 * transactions, deadlocks, violated constraints, errors of triggers.
 */
extern SierraAppendStatus sierra_append(const SierraStore *store, const pg_uuid_t *key,
										const SierraNewEvent *events, int count,
										SierraAppendResult *results, SierraRefusal *refusal);

#endif /* SIERRA_APPEND_H */
