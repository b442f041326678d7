/*
 * listener.h
 *		Sockets that clients connect to.
 */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>

#include <event2/event.h>

/* Listens on all addresses of the settings, or on those that systemd has opened. */
extern bool listeners_start(struct event_base *base);
/* Accepts nobody any more. */
extern void listeners_stop(void);

#endif /* SERVER_LISTENER_H */
