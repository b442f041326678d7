/*
 * route.h
 *		The first half of an append: finds the streams of the call and their partitions,
 *		and locks these.
 */
#ifndef SIERRA_ROUTE_H
#define SIERRA_ROUTE_H

#include "append/append_partition.h"
#include "append/refusal.h"
#include "store/registry.h"

#include "nodes/execnodes.h"

/* A stream that the call appends to. */
typedef struct SierraRouteStream
{
	const SierraNewEvent *event; /* the first one of the call for this stream, or its check */
	pg_uuid_t key;
	int16 partition;			   /* id of the partition of the key */
	int16 home;					   /* id of that of its name's key; -1: not needed */
	bool register_key;			   /* it is new, and has a key that is not that of its name */
	bool is_checked;			   /* the call does not append to it, only its version counts */
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
 * The caller sets store, key, events, count, transaction_id, checked, nchecked and estate;
 * sierra_route_open() the rest.
 */
typedef struct SierraRoute
{
	const SierraStore *store;
	const pg_uuid_t *key; /* of the call, or NULL */
	SierraNewEvent *events;
	int count;
	const pg_uuid_t *transaction_id; /* of the call, or NULL to generate one */

	/* Streams whose versions the condition expects; only stream_id and expected are set. */
	const SierraNewEvent *checked;
	int nchecked;

	EState *estate;
	SierraRouteStream *streams; /* in the order of their first events, then those checked */
	int nstreams;
	SierraAppendPartition *partitions; /* open and locked, by ascending id */
	int npartitions;
	SierraRegistryLookup keys; /* while streams are looked for */
} SierraRoute;

/*
 * Finds the stream of each event, and the partitions of all streams, opens and locks these
 * in ascending order, and reads the newest version of each stream and the newest sequence and
 * position of each partition.  Returns DONE, or a refusal; after a refusal no new lock is held and
 * nothing is open.  Raises 22023 if the condition expects another version of a stream than its
 * first event.
 */
extern SierraAppendStatus sierra_route_open(SierraRoute *route, SierraAppendResult *results,
											SierraRefusal *refusal);

/*
 * Shows readers that this transaction writes to the partitions.  Until then the locks do
 * not hold back readers of the whole store.  Comes before positions are taken.
 */
extern void sierra_route_begin_writing(SierraRoute *route);

/* Releases the locks that sierra_route_open() took; nothing may have been written. */
extern void sierra_route_unlock(SierraRoute *route);

/* Closes the partitions; keeps the locks. */
extern void sierra_route_close(SierraRoute *route);

#endif /* SIERRA_ROUTE_H */
