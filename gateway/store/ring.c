#include "store/ring.h"

#include <stdlib.h>

#include "base/memory.h"

StoreEvent *
ring_at(const Ring *ring, size_t place)
{
	return ring->events[(ring->first + place) % ring->allocated];
}

static void
drop_oldest(Ring *ring)
{
	StoreEvent *event = ring_at(ring, 0);

	ring->first = (ring->first + 1) % ring->allocated;
	ring->count--;
	ring->bytes -= event->bytes;
	ring->after = event->global_position;
	store_event_unref(event);
}

void
ring_reset(Ring *ring, int64_t position)
{
	while (ring->count > 0)
		drop_oldest(ring);
	ring->after = ring->end = position;
}

void
ring_free(Ring *ring)
{
	ring_reset(ring, -1);
	free(ring->events);
	ring->events = NULL;
	ring->allocated = ring->first = 0;
}

static void
grow(Ring *ring)
{
	size_t allocated = ring->allocated > 0 ? ring->allocated * 2 : 64;
	StoreEvent **events = mem_alloc(allocated * sizeof(StoreEvent *));

	for (size_t i = 0; i < ring->count; i++)
		events[i] = ring_at(ring, i);
	free(ring->events);
	ring->events = events;
	ring->allocated = allocated;
	ring->first = 0;
}

void
ring_add(Ring *ring, StoreEvent *event)
{
	if (ring->count == ring->allocated)
		grow(ring);
	ring->events[(ring->first + ring->count) % ring->allocated] = event;
	ring->count++;
	ring->bytes += event->bytes;
	ring->end = event->global_position;
}

void
ring_reach(Ring *ring, int64_t position)
{
	if (position > ring->end)
		ring->end = position;
}

void
ring_trim(Ring *ring, size_t bytes)
{
	while (ring->bytes > bytes)
		drop_oldest(ring);
}

bool
ring_covers(const Ring *ring, int64_t position)
{
	return ring->after <= position;
}

size_t
ring_find(const Ring *ring, int64_t position)
{
	size_t low = 0;
	size_t high = ring->count;

	/* most readers are at the end */
	if (high == 0 || ring_at(ring, high - 1)->global_position <= position)
		return high;
	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (ring_at(ring, middle)->global_position <= position)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
