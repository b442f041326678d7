/*
 * append.h
 *		Appends events to streams.
 */
#ifndef SIERRA_APPEND_H
#define SIERRA_APPEND_H

#include "append/call.h"
#include "append/condition.h"
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
 * The condition, unless NULL, holds for what others have appended, and what this transaction
 * has appended before.  Its query needs a store that sierra_store_open_alone() has opened if
 * sierra_tag_locks_need_store() says so.
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
										const SierraCondition *condition,
										SierraAppendResult *results, SierraRefusal *refusal);

/* The same with the id that the events of the call share; NULL generates one. */
extern SierraAppendStatus
sierra_append_with_id(const SierraStore *store, const pg_uuid_t *key, SierraNewEvent *events,
					  int count, const SierraCondition *condition, const pg_uuid_t *transaction_id,
					  SierraAppendResult *results, SierraRefusal *refusal);

/*
 * Appends the events of several calls, which follow each other in events; each call is accepted
 * or refused by itself, after those before it.  Fills results of all events as sierra_append()
 * does for each call, and status and refusal of each call.  The caller has checked the conditions
 * with sierra_condition_check_events() too.  AFTER triggers fire at the end.
 */
extern void sierra_append_calls(const SierraStore *store, SierraNewEvent *events,
								SierraAppendCall *calls, int ncalls, SierraAppendResult *results);

#endif /* SIERRA_APPEND_H */
