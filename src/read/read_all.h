/*
 * read_all.h
 *		The read engine: the whole store, in the order of global positions.
 */
#ifndef SIERRA_READ_ALL_H
#define SIERRA_READ_ALL_H

#include "read/filter.h"
#include "read/sink.h"
#include "store/store.h"

typedef struct SierraReadAll
{
	int64 after;		  /* first position is after + 1; backward: after - 1 */
	bool backward;		  /* with after < 0: from the horizon */
	SierraFilter streams; /* patterns, see pattern.h */
	SierraFilter event_names;
	int64 expected_rows; /* a guess, for the size of index scans */

	/*
	 * The rest may be left out.  Forwards only: by partition, where to begin
	 * instead of after; SIERRA_NOT_READ leaves the partition out.
	 */
	const int64 *after_by_partition;
	/* What else an event must be like. */
	bool (*wants)(void *arg, TupleTableSlot *slot);
	/* Asked now and then between events that are not wanted; false: stop here. */
	bool (*goes_on)(void *arg);
	void *arg;
} SierraReadAll;

#define SIERRA_NOT_READ PG_INT64_MAX

/*
 * Never skips: stops at the horizon, see horizon.h.  Returns up to which
 * position it has put all events that are wanted.
 */
extern int64 sierra_read_all(const SierraStore *store, const SierraReadAll *request,
							 SierraSink *sink);

/* The horizon of all partitions as of the active snapshot. */
extern int64 sierra_read_horizon(const SierraStore *store);

#endif /* SIERRA_READ_ALL_H */
