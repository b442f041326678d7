/*
 * append.h
 *		Appends events to streams.
 */
#ifndef SIERRA_APPEND_H
#define SIERRA_APPEND_H

#include "append/insert.h"
#include "append/refusal.h"
#include "store/event.h"
#include "store/store.h"

/*
 * Appends all of count events, or none.  The caller has checked each of them with
 * sierra_event_check(), and the right to INSERT.  If key is given, all streams of the
 * call must have it, and new streams get it.  If key is NULL, a stream keeps its key,
 * and a new stream gets that of its name.  The expected version of an event is
 * compared with the version of its stream after the events before it.  The metadata that
 * is stored has the members of sierra_es.metadata too.
 *
 * If it returns DONE or REPEATED, it has filled results[0 .. count - 1] and set event_id and
 * timestamp of each event to what is stored; otherwise it has filled *refusal.  Results point
 * to memory in the current context.
 *
 * Raises errors that are not refusals, such as those of read-only transactions, deadlocks,
 * violated constraints and triggers.
 */
extern SierraAppendStatus sierra_append(const SierraStore *store, const pg_uuid_t *key,
										SierraNewEvent *events, int count,
										SierraAppendResult *results, SierraRefusal *refusal);

#endif /* SIERRA_APPEND_H */
