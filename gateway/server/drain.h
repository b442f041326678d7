/*
 * drain.h
 *		The end of the program: everything that was accepted is answered first.
 */
#ifndef SERVER_DRAIN_H
#define SERVER_DRAIN_H

#include <event2/event.h>

extern void drain_setup(struct event_base *base);
/* Ends the loop when all is answered, or after settings.drain_time.  A second call ends it at once.
 */
extern void drain_begin(void);

#endif /* SERVER_DRAIN_H */
