/*
 * tls.h
 *		TLS for clients.
 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>

#include <event2/bufferevent.h>

/*
 * Reads certificate and key of the settings, if they are given.  After an error, which is
 * logged, the ones before stay in use.
 */
extern bool tls_load(void);
/* A connection that begins with a handshake; NULL if there is not one to begin. */
extern struct bufferevent *tls_accept(struct event_base *base, evutil_socket_t fd);

#endif /* SERVER_TLS_H */
