/*
 * ring.h
 *		The newest events of a store, as its follower has read them.
 *
 * All events above position after, up to position end, are in the ring, in their order.
 */
#ifndef STORE_RING_H
#define STORE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/event.h"

typedef struct Ring
{
	StoreEvent **events;
	size_t allocated;
	size_t first;
	size_t count;
	size_t bytes;
	int64_t after;
	int64_t end;
} Ring;

/* Empty: the events up to position are not in it. */
extern void ring_reset(Ring *ring, int64_t position);
extern void ring_free(Ring *ring);
/* Takes over a reference.  The event is above all that are in the ring. */
extern void ring_add(Ring *ring, StoreEvent *event);
/* There are no more events up to this position. */
extern void ring_reach(Ring *ring, int64_t position);
/* Drops the oldest events, until the others take no more than these bytes. */
extern void ring_trim(Ring *ring, size_t bytes);
/* Are all events above the position, as far as they have been read, in the ring? */
extern bool ring_covers(const Ring *ring, int64_t position);
/* The place of the first event above the position; ring->count if there is none. */
extern size_t ring_find(const Ring *ring, int64_t position);
extern StoreEvent *ring_at(const Ring *ring, size_t place);

#endif /* STORE_RING_H */
