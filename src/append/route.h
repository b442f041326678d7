/*
 * route.h
 *		The first half of an append: which streams, which partitions, locked.
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
	int partition;
	int home; /* the partition of the key of its name; -1 while not needed */
	SierraAppendPartition *target;
	bool register_key;		/* new, under a key that is not that of its name */
	int64 version;			/* SIERRA_NONE if empty; the append counts it up */
	int64 repeated_version; /* idempotency.c: version of the last event that stands */
} SierraRouteStream;

typedef struct SierraRoute
{
	const SierraStore *store;
	const pg_uuid_t *key; /* of the call, or NULL */
	const SierraNewEvent *events;
	int count;
	EState *estate;
	SierraRouteStream **stream_of; /* by event */
	SierraRouteStream **streams;   /* in the order of their first events */
	int nstreams;
	SierraAppendPartition *partitions; /* open and locked, by ascending partition */
	int npartitions;
} SierraRoute;

/*
 * Finds the partitions of all streams, opens and locks them in ascending
 * order, and reads how far streams and partitions are.  Returns DONE when the
 * route stands, or a refusal; then no new lock is held.
 */
extern SierraAppendStatus sierra_route_open(SierraRoute *route, SierraRefusal *refusal);

/* Gives back the locks that sierra_route_open() took: nothing was written. */
extern void sierra_route_unlock(SierraRoute *route);

extern void sierra_route_close(SierraRoute *route);

#endif /* SIERRA_ROUTE_H */
