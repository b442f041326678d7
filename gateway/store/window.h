/*
 * window.h
 *		How many events of a subscription may be out without being acknowledged.
 */
#ifndef STORE_WINDOW_H
#define STORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Window
{
	/* 0: any number */
	int64_t size;
	/* the number that the next event gets, from 0 */
	int64_t cursor;
	/* all events up to this number are acknowledged; -1: none */
	int64_t acknowledged;
} Window;

static inline void
window_init(Window *window, int64_t size)
{
	window->size = size;
	window->cursor = 0;
	window->acknowledged = -1;
}

/* How many events may be sent now, but not more than most. */
static inline int64_t
window_room(const Window *window, int64_t most)
{
	/* below 0 if the client has acknowledged more than it got */
	int64_t out = window->cursor - 1 - window->acknowledged;
	int64_t room;

	if (window->size == 0 || __builtin_sub_overflow(window->size, out, &room) || room > most)
		return most;
	return room > 0 ? room : 0;
}

/* Never moves back: acknowledgements may come out of order, over several connections. */
static inline void
window_acknowledge(Window *window, int64_t cursor)
{
	if (cursor > window->acknowledged)
		window->acknowledged = cursor;
}

#endif /* STORE_WINDOW_H */
