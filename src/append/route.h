/*
 * route.h
 *		The first half of an append: finds the streams of the call and their partitions,
 *		and locks these.
 */
#ifndef SIERRA_ROUTE_H
#define SIERRA_ROUTE_H

#include "append/append_partition.h"
#include "append/refusal.h"

#include "nodes/execnodes.h"

/* A stream that the call appends to. */
typedef struct SierraRouteStream
{
	const text *stream_id;
	const SierraNewEvent *event; /* the first one of the call for this stream */
	pg_uuid_t key;
	int partition;				   /* id of the partition of the key */
	int home;					   /* id of that of its name's key; -1: not needed */
	SierraAppendPartition *target; /* the partition of the key, open and locked */
	bool register_key;			   /* it is new, and has a key that is not that of its name */
	int64 version;				   /* SIERRA_NONE if empty; the append increases it */
	int64 repeated_version;		   /* for idempotency.c: version of the last stored event */
} SierraRouteStream;

/* The caller sets store, key, events, count and estate; sierra_route_open() the rest. */
typedef struct SierraRoute
{
	const SierraStore *store;
	const pg_uuid_t *key; /* of the call, or NULL */
	const SierraNewEvent *events;
	int count;
	EState *estate;
	SierraRouteStream **stream_of; /* the stream of each event */
	SierraRouteStream **streams;   /* in the order of their first events */
	int nstreams;
	SierraAppendPartition *partitions; /* open and locked, by ascending id */
	int npartitions;
} SierraRoute;

/*
 * Finds the partitions of all streams, opens and locks them in ascending order, and reads
 * the newest version of each stream and the newest sequence and position of each
 * partition.  Returns DONE, or a refusal; after a refusal no new lock is held and nothing
 * is open.
 */
extern SierraAppendStatus sierra_route_open(SierraRoute *route, SierraRefusal *refusal);

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
