/*
 * run_projection.h
 *		Runs a projection: takes the next events of its subscription to its handler.
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
 * Takes up to max_count events to the handler, all in this transaction, and
 * acknowledges them in it: so each of them exactly once, whatever crashes.
 * Returns how many; 0 for a version that is gone, paused or stopped.
 *
 * If the handler fails, its event is found; those before it stand.  The failure
 * is written down, with a WARNING, and is no error of this call.
 */
extern int64 sierra_run_projection(SierraStore *store, const SierraRun *run);

#endif /* SIERRA_RUN_PROJECTION_H */
