/*
 * pace.h
 *		The pace of a session that follows a busy store.
 *
 * A session that asks for the next events as soon as it has handled the last ones finds
 * a few new ones each time while others append.  Each call has a fixed cost.  So if a call
 * found several, but not as many as the caller takes, the next one rests until
 * SIERRA_PACE_MS have passed: it finds more events, and those that append get the time of
 * the processors.  A session that gets single events, or full pages, never rests.
 */
#ifndef SIERRA_PACE_H
#define SIERRA_PACE_H

#include "base/clock.h"

/* From the end of a call to the beginning of the next look, in milliseconds. */
#define SIERRA_PACE_MS 5

/* Fewer events are not a sign of a busy store. */
#define SIERRA_PACE_EVENTS 4

/*
 * Rests if the last call of this session for the same subject has just found several
 * events; at most until the deadline.  The rest can be cancelled.
 */
extern void sierra_pace_begin(uint32 subject, SierraTime deadline);

/* This call found this number of events; "full": the caller takes no more at once. */
extern void sierra_pace_end(uint32 subject, int64 events, bool full);

#endif /* SIERRA_PACE_H */
