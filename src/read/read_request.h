/*
 * read_request.h
 *		Which events of the whole store a read is to return.
 */
#ifndef SIERRA_READ_REQUEST_H
#define SIERRA_READ_REQUEST_H

#include "read/filter.h"
#include "read/read_partitions.h"
#include "store/event_query.h"

typedef struct SierraReadAll
{
	int64 after;		  /* begins at position after + 1; backward: at after - 1 */
	bool backward;		  /* if also after < 0: begins at the horizon */
	SierraFilter streams; /* patterns, see pattern.h */
	SierraFilter event_names;
	int64 expected_rows; /* an estimate, for the size of index scans */

	/* The rest may be left out. */

	SierraFilter tags;			   /* events that have any of these */
	const SierraEventQuery *query; /* and that this matches */
	bool bounded;				   /* ends at position to, included, in either direction */
	int64 to;

	/* Forward only: does not end at the horizon, above which events are to come in between. */
	bool past_horizon;

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

/* How many events are skipped between two calls of goes_on. */
#define SIERRA_ASK_EVERY 1024

/*
 * The position up to which the caller relies on the read, because an earlier read said that
 * it can be read, or SIERRA_NONE.
 */
extern int64 sierra_read_request_reached(const SierraReadAll *request);

/* Is the event in the slot one of those that are requested, except for its position? */
extern bool sierra_read_request_wants(const SierraReadAll *request, TupleTableSlot *slot);

#endif /* SIERRA_READ_REQUEST_H */
