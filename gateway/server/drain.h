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
/*
 * After the loop, and before the store is closed: ends the clients that are still there.  The
 * end of a request would start their next one, at connections that are closed already.
 */
extern void drain_end(void);

#endif /* SERVER_DRAIN_H */
