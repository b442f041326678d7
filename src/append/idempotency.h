/*
 * idempotency.h
 *		Idempotency: is this call the repetition of an earlier one?
 */
#ifndef SIERRA_IDEMPOTENCY_H
#define SIERRA_IDEMPOTENCY_H

#include "append/route.h"

#include "utils/hsearch.h"

/*
 * A table of the ids that clients chose for the events of the calls; NULL if there is nothing
 * to compare.
 */
extern HTAB *sierra_idempotency_begin(const SierraRoute *route);

/*
 * Adds the ids of call c to the table, or NULL.  Sets its member repeated.  Does one of the calls
 * since this one have one of its ids too?
 */
extern bool sierra_idempotency_note(const SierraRoute *route, HTAB *seen, int c, int since);

/*
 * Looks for the ids that clients chose for these events; the route is open and locked.  Fills the
 * results of those that are stored.
 */
extern void sierra_idempotency_look(SierraRoute *route, int first, int end);

/* Does event_ids need a row for the id of event i?  Only if a client chose it. */
extern bool sierra_idempotency_must_register(const SierraRoute *route, int i);

/*
 * Looks once more for the ids of the accepted ones of these calls, from first up to end, whose
 * events and ids are written.  Raises SE003 if another session has just appended an event with
 * one of them.
 */
extern void sierra_idempotency_confirm(SierraRoute *route, int first, int end);

/*
 * Judges a call by what sierra_idempotency_look() has found.
 *
 * DONE: none of the ids is in use, so the append may continue.
 * REPEATED: all events of the call are stored in their streams, in this order, without
 * others between them; the results are those of the first append.
 * DUPLICATE_EVENT: everything else; fills the refusal.
 */
extern SierraAppendStatus sierra_idempotency_judge(SierraRoute *route, SierraAppendCall *call);

#endif /* SIERRA_IDEMPOTENCY_H */
