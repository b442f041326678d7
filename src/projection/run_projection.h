/*
 * run_projection.h
 *		Runs a projection: calls its handler with the next events of its subscription.
 */
#ifndef SIERRA_RUN_PROJECTION_H
#define SIERRA_RUN_PROJECTION_H

#include "store/store.h"

typedef struct SierraRun
{
	text *projection;
	int32 version; /* 0: the live one */
	int64 max_count;
	Oid event_type;
	Oid take_over; /* make_version_live() */
} SierraRun;

/*
 * Calls the handler with up to max_count events, and acknowledges them in the
 * same transaction.  So each event takes effect exactly once, whatever crashes.
 * Returns the number of events; 0 for a version that does not exist, is paused
 * or stopped, or if the handler of this version is the caller.  Locks the row of the projection
 * until the transaction ends.
 *
 * If the handler fails, the event that caused it is found, and the events
 * before it count as handled.  The failure is recorded and reported as a
 * WARNING; this call does not fail.  Errors that are not caused by an event
 * (cancel, lock timeout, serialization failure, shutdown, lack of resources)
 * are raised.  So is 42501 if the caller does not have the right UPDATE on the
 * table projections.
 */
extern int64 sierra_run_projection(SierraStore *store, const SierraRun *run);

#endif /* SIERRA_RUN_PROJECTION_H */
