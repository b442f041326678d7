/*
 * read_all.h
 *		Reads the whole store in the order of global positions.
 */
#ifndef SIERRA_READ_ALL_H
#define SIERRA_READ_ALL_H

#include "read/filter.h"
#include "read/sink.h"
#include "store/store.h"

typedef struct SierraReadAll
{
	int64 after;		  /* begins at position after + 1; backward: at after - 1 */
	bool backward;		  /* if also after < 0: begins at the horizon */
	SierraFilter streams; /* patterns, see pattern.h */
	SierraFilter event_names;
	int64 expected_rows; /* an estimate, for the size of index scans */

	/* The rest may be left out. */

	/*
	 * Forward only: used instead of after, by partition.  A partition with
	 * SIERRA_NOT_READ is left out.
	 */
	const int64 *after_by_partition;
	/* A further filter; events for which it returns false are skipped. */
	bool (*wants)(void *arg, TupleTableSlot *slot);
	/* Called from time to time while events are skipped; false: stop reading. */
	bool (*goes_on)(void *arg);
	void *arg;
} SierraReadAll;

#define SIERRA_NOT_READ PG_INT64_MAX

/*
 * Puts the events into the sink, up to the horizon (see horizon.h), so that no event
 * is skipped.  Returns a position: all requested events up to it are in the sink
 * (backward: the position where it stopped).  Errors as for sierra_horizon().
 */
extern int64 sierra_read_all(const SierraStore *store, const SierraReadAll *request,
							 SierraSink *sink);

/* The horizon of all partitions for the active snapshot. */
extern int64 sierra_read_horizon(const SierraStore *store);

#endif /* SIERRA_READ_ALL_H */
