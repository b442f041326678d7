/*
 * output.c
 *		The way of replies and pushes to the socket.
 *
 * They are written at the end of the turn of the loop in which they were completed, all of a
 * client by one system call.  libevent by itself would wait for the next turn, ask the system
 * first whether the socket takes bytes, and write 16 kB at a time.  Here it gets only what the
 * socket did not take at once: while that is so, EV_WRITE is enabled.  TLS is left to libevent.
 */
#include <errno.h>

#include "client/client_internal.h"

/* What libevent may write by one system call. */
#define MAX_WRITE (256 * 1024)

static struct event *turn_end;
/* clients that have something to write, in the order in which they got it */
static Client *first;
static Client **last = &first;
static bool is_sending;

/* Returns false if the connection is lost. */
static bool
write_now(Client *client)
{
	struct bufferevent *connection = client->connection;
	struct evbuffer *output = bufferevent_get_output(connection);
	int written;

	/* libevent keeps others from taking bytes out of its buffer */
	evbuffer_unfreeze(output, 1);
	written = evbuffer_write(output, bufferevent_getfd(connection));
	evbuffer_freeze(output, 1);
	if (written < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (evbuffer_get_length(output) > 0)
		bufferevent_enable(connection, EV_WRITE);
	return true;
}

static void
send_output(Client *client)
{
	if (client_output(client) == 0 || (bufferevent_get_enabled(client->connection) & EV_WRITE))
		return;
	if (!write_now(client))
		client_lost(client);
	else if (client_output(client) <= CLIENT_LOW_WATER)
		client_wrote(client);
}

static void
on_turn_end(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval next_turn = {0, 0};
	Client *client = first;

	(void) fd;
	(void) what;
	(void) arg;
	first = NULL;
	last = &first;
	is_sending = true;
	while (client != NULL)
	{
		Client *next = client->next_output;

		client->has_new_output = false;
		send_output(client);
		client_release(client);
		client = next;
	}
	is_sending = false;
	/* what the end of writing has brought about; others have their turn before it */
	if (first != NULL)
		evtimer_add(turn_end, &next_turn);
}

void
output_setup(struct event_base *base)
{
	turn_end = evtimer_new(base, on_turn_end, NULL);
}

void
output_begin(Client *client)
{
	if (client->listener->tls)
		bufferevent_enable(client->connection, EV_WRITE);
	else
	{
		bufferevent_set_max_single_write(client->connection, MAX_WRITE);
		bufferevent_disable(client->connection, EV_WRITE);
	}
}

void
output_added(Client *client)
{
	if (client->connection == NULL || client->has_new_output || client->listener->tls)
		return;
	client->has_new_output = true;
	client->next_output = NULL;
	client_hold(client);
	if (first == NULL && !is_sending)
		event_active(turn_end, EV_TIMEOUT, 0);
	*last = client;
	last = &client->next_output;
}

void
output_written(Client *client)
{
	if (!client->listener->tls && client_output(client) == 0)
		bufferevent_disable(client->connection, EV_WRITE);
}
