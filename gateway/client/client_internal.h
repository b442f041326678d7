/*
 * client_internal.h
 *		What client.c, call.c and output.c know of each other.
 */
#ifndef CLIENT_CLIENT_INTERNAL_H
#define CLIENT_CLIENT_INTERNAL_H

#include "client/client.h"

/* Starts and takes all calls that can be started and taken, and closes what has ended. */
extern void client_pump(Client *client);
extern const CallType *client_find_command(Client *client, Request *request);
/* The connection has failed. */
extern void client_lost(Client *client);
/* Not more than CLIENT_LOW_WATER bytes wait to be sent now. */
extern void client_wrote(Client *client);

/* Called once. */
extern void output_setup(struct event_base *base);
/* Of a new connection. */
extern void output_begin(Client *client);
/* Something was added to the output, which is sent at the end of this turn of the loop. */
extern void output_added(Client *client);
/* libevent has written. */
extern void output_written(Client *client);

/* Appends a call for a request, which it takes over. */
extern void call_queue(Client *client, Request *request);
/* Appends a call whose reply is known. */
extern void call_queue_error(Client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Starts the calls whose turn it is. */
extern void call_start_waiting(Client *client);
/* Forgets the calls that have not started; they are the end of the queue. */
extern void call_drop_waiting(Client *client);

#endif /* CLIENT_CLIENT_INTERNAL_H */
