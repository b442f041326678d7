/*
 * route.h
 *		The first half of an append: finds the streams of the call and their partitions,
 *		and locks these.
 */
#ifndef SIERRA_ROUTE_H
#define SIERRA_ROUTE_H

#include "append/append_partition.h"
#include "append/call.h"
#include "store/registry.h"

#include "nodes/execnodes.h"

/* A stream that the calls append to, or that the condition of one of them is about. */
typedef struct SierraRouteStream
{
	const SierraNewEvent *event; /* the first one for this stream, or its first check */
	pg_uuid_t key;
	int16 partition;		   /* id of the partition of the key */
	int16 home;				   /* id of that of its name's key; -1: not needed */
	bool register_key : 1;	   /* it is new, and has a key that is not that of its name */
	bool is_checked : 1;	   /* no call appends to it, only its version counts */
	bool is_disputed : 1;	   /* calls give it different keys; the first of them gets its way */
	bool not_serializable : 1; /* the snapshot of the transaction does not see its newest event */
	int first_call;			   /* the index of the call of its first event */
	int newest_call; /* that of the newest call which has numbered an event of it, or -1 */
	SierraAppendPartition *target; /* the partition of the key, open and locked */
	int64 version;				   /* SIERRA_NONE if empty; the append increases it */
	int64 repeated_version;		   /* for idempotency.c: version of the last stored event */
} SierraRouteStream;

/*
 * What an append gave to an event: its numbers, and the id of the transaction that it was
 * appended in.  The event itself has its id and time, and its stream the partition and its
 * key.  So a call of many small events takes less memory.
 */
typedef struct SierraAppendResult
{
	SierraRouteStream *stream;
	int64 partition_sequence;
	int64 stream_version;
	int64 global_position;
	const pg_uuid_t *transaction_id;
} SierraAppendResult;

/*
 * The caller sets store, events, count, calls, ncalls, results, memory and estate;
 * sierra_route_open() the rest.
 */
typedef struct SierraRoute
{
	const SierraStore *store;
	SierraNewEvent *events; /* of all calls, in their order */
	int count;
	SierraAppendCall *calls;
	int ncalls;
	SierraAppendResult *results; /* of the events */
	MemoryContext memory;		 /* for what is kept longer than a round of calls */

	EState *estate;
	SierraRouteStream *streams; /* in the order of their first events, then those checked */
	int nstreams;
	bool has_disputes;				   /* a stream is disputed */
	SierraAppendPartition *partitions; /* open and locked, by ascending id */
	int npartitions;
	SierraRegistryLookup keys; /* while streams are looked for */
	char *stored;			   /* for idempotency.c: by event, where its id is stored */
} SierraRoute;

/*
 * Finds the stream of each event, and the partitions of all streams, opens and locks these
 * in ascending order, and reads the newest version of each stream and the newest sequence and
 * position of each partition.
 */
extern void sierra_route_open(SierraRoute *route);

/*
 * Do the keys of the streams allow the call?  DONE, or KEY_MISMATCH; NOT_SERIALIZABLE if the
 * snapshot of the transaction does not see the newest event of one of the streams.  A disputed
 * stream that is still new gets the key of the call.
 */
extern SierraAppendStatus sierra_route_check(SierraRoute *route, SierraAppendCall *call);

/*
 * Shows readers that this transaction writes to the partitions that have events to be
 * written.  Until then the locks do not hold back readers of the whole store.  Comes before
 * positions are taken.
 */
extern void sierra_route_begin_writing(SierraRoute *route);

/* Releases the locks that sierra_route_open() took; nothing may have been written. */
extern void sierra_route_unlock(SierraRoute *route);

/* Closes the partitions; keeps the locks. */
extern void sierra_route_close(SierraRoute *route);

#endif /* SIERRA_ROUTE_H */
