#include "client/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "client/client_internal.h"

static struct event_base *base;
static ClientFind find_command;
static const ClientHooks *hooks;
static Client *clients;
static int count;

Client *
client_first(void)
{
	return clients;
}

int
client_count(void)
{
	return count;
}

struct event_base *
client_base(void)
{
	return base;
}

void
client_setup(struct event_base *event_base, ClientFind find)
{
	base = event_base;
	find_command = find;
	output_setup(event_base);
}

void
client_set_hooks(const ClientHooks *client_hooks)
{
	hooks = client_hooks;
}

const CallType *
client_find_command(Client *client, Request *request)
{
	return find_command(client, request);
}

/* ---- life of a client ---- */

void
client_hold(Client *client)
{
	client->references++;
}

void
client_release(Client *client)
{
	if (--client->references > 0)
		return;
	request_parser_reset(&client->parser);
	if (client->role != NULL)
		store_role_unref(client->role);
	free(client->name);
	free(client->library);
	free(client->library_version);
	free(client);
}

static void
unlink_client(Client *client)
{
	if (client->previous != NULL)
		client->previous->next = client->next;
	else
		clients = client->next;
	if (client->next != NULL)
		client->next->previous = client->previous;
	count--;
}

/* Ends the connection; the client stays until its calls have ended. */
static void
disconnect(Client *client)
{
	if (client->connection == NULL)
		return;
	bufferevent_free(client->connection);
	client->connection = NULL;
	if (client->linger_timer != NULL)
		event_free(client->linger_timer);
	client->linger_timer = NULL;
	client_end_subscriptions(client);
	unlink_client(client);
	call_drop_waiting(client);
	client_release(client);
}

void
client_end_subscriptions(Client *client)
{
	if (client->subscriber != NULL && hooks != NULL && hooks->ended != NULL)
		hooks->ended(client);
}

static void
drop(Client *client, LogLevel level, const char *reason)
{
	if (client->connection == NULL)
		return;
	log_line(level, "client %llu (%s): %s, after %lld s", (unsigned long long) client->id,
			 client->address, reason, (long long) (clock_usecs() - client->connected_at) / 1000000);
	disconnect(client);
}

void
client_drop(Client *client, const char *reason)
{
	drop(client, LOG_INFO, reason);
}

void
client_set_role(Client *client, StoreRole *role)
{
	StoreRole *before = client->role;

	client->role = role != NULL ? store_role_ref(role) : NULL;
	if (before != NULL)
		store_role_unref(before);
}

/* ---- the end of a connection ---- */

#define LINGER_SECONDS 2

static void
linger_end(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	drop(arg, LOG_DEBUG, "closed by the gateway");
}

/*
 * All is answered.  A socket that is closed while bytes of the client arrive is reset, and
 * the client may lose the last reply.  So this says that nothing more comes, and throws away
 * what still arrives, for a moment.
 */
static void
begin_linger(Client *client)
{
	const struct timeval wait = {LINGER_SECONDS, 0};
	struct bufferevent *connection = client->connection;

	client->is_lingering = true;
	if (client->input_ended || bufferevent_getfd(connection) < 0)
	{
		disconnect(client);
		return;
	}
	shutdown(bufferevent_getfd(connection), SHUT_WR);
	evbuffer_drain(bufferevent_get_input(connection),
				   evbuffer_get_length(bufferevent_get_input(connection)));
	bufferevent_enable(connection, EV_READ);
	client->linger_timer = evtimer_new(base, linger_end, client);
	evtimer_add(client->linger_timer, &wait);
}

static void
close_if_done(Client *client)
{
	if (client->connection == NULL || client->is_lingering || client->calls > 0 ||
		client_output(client) > 0)
		return;
	if (client->is_closing)
		begin_linger(client);
	else if (client->input_ended)
		drop(client, LOG_DEBUG, "connection closed by the client");
}

void
client_close(Client *client)
{
	client_hold(client);
	/* first, so that the end of an ESUB that waits does not begin the next one */
	client->is_closing = true;
	client_end_subscriptions(client);
	client_pump(client);
	client_release(client);
}

void
client_close_behind(Call *call)
{
	Client *client = call->client;

	call_drop_waiting(client);
	client_close(client);
}

void
client_stop_input(Client *client)
{
	client_pump(client);
	if (client->connection != NULL)
		client_close(client);
}

/* ---- reading ---- */

/* Requests that one client may have under way: by number, and by their memory. */
#define MAX_CALLS 1024

/*
 * Before a login, a client may have one request under way: what is behind AUTH has the limits of a
 * client that has logged in.
 */
static bool
may_take(const Client *client)
{
	if (client->role == NULL && client->calls > 0)
		return false;
	return !client->is_stalled && client->calls < MAX_CALLS &&
		   client->call_bytes <= (size_t) settings.max_frame_size;
}

/* A client that has not logged in needs no more than the words of HELLO and AUTH. */
static void
find_limits(const Client *client, RequestLimits *limits)
{
	limits->max_frame_size = (size_t) settings.max_frame_size;
	limits->max_words = settings.max_words;
	if (client->role == NULL)
	{
		limits->max_frame_size = 16384;
		limits->max_words = 32;
	}
}

/* A page of another origin can make a browser send such a line to this port. */
static bool
is_http(const Request *request)
{
	const Word *word = &request->words[0];

	return text_is_word(word->data, word->length, "POST") ||
		   text_is_word(word->data, word->length, "HOST:");
}

/* Takes the next request.  False if there is none, or none may be taken now. */
static bool
take_request(Client *client)
{
	RequestLimits limits;
	Request *request;

	if (client->connection == NULL || client->is_closing || !may_take(client))
		return false;
	find_limits(client, &limits);
	switch (request_parse(&client->parser, bufferevent_get_input(client->connection), &limits,
						  &request))
	{
		case PARSE_MORE:
			return false;
		case PARSE_EMPTY:
			call_queue_error(client, "ERR empty command");
			return true;
		case PARSE_ERROR:
			counters.protocol_errors++;
			call_queue_error(client, "ERR Protocol error: %s", client->parser.error);
			client->is_closing = true;
			client_end_subscriptions(client);
			return false;
		case PARSE_REQUEST:
			break;
	}
	if (request->count == 0)
		request_free(request);
	else if (is_http(request))
	{
		request_free(request);
		client_drop(client, "sent HTTP, closed");
		return false;
	}
	else
		call_queue(client, request);
	return true;
}

static void
watch_stall(Client *client)
{
	size_t limit = (size_t) settings.output_limit;
	const struct timeval stall = {settings.stall_time / 1000, settings.stall_time % 1000 * 1000};
	size_t output = client_output(client);

	if (!client->is_stalled && output > limit)
	{
		client->is_stalled = true;
		bufferevent_set_timeouts(client->connection, NULL, settings.stall_time > 0 ? &stall : NULL);
	}
	else if (client->is_stalled && output <= limit / 2)
	{
		client->is_stalled = false;
		bufferevent_set_timeouts(client->connection, NULL, NULL);
	}
}

static void
watch_input(Client *client)
{
	bool wants =
		!client->input_ended && (client->is_lingering || (!client->is_closing && may_take(client)));

	if (wants == ((bufferevent_get_enabled(client->connection) & EV_READ) != 0))
		return;
	if (wants)
		bufferevent_enable(client->connection, EV_READ);
	else
		bufferevent_disable(client->connection, EV_READ);
}

void
client_pump(Client *client)
{
	/* a call that ends while it is started comes back here */
	client->pump_again = true;
	if (client->is_pumping)
		return;
	client->is_pumping = true;
	client_hold(client);
	while (client->pump_again && client->connection != NULL)
	{
		client->pump_again = false;
		watch_stall(client);
		do
			call_start_waiting(client);
		while (!client->is_lingering && take_request(client));
		call_start_waiting(client);
		if (client->connection != NULL)
			watch_stall(client);
	}
	client->is_pumping = false;
	close_if_done(client);
	if (client->connection != NULL)
	{
		watch_input(client);
		if (client->subscriber != NULL && hooks != NULL && hooks->idle != NULL &&
			client_is_idle(client))
			hooks->idle(client);
	}
	client_release(client);
}

/* ---- what libevent calls ---- */

/* libevent reads not more than this in a turn of the loop; here is room for what is left. */
#define LIBEVENT_READ 4096
#define MORE_READ 32768

/*
 * Reads the rest of what has arrived: the commands that a client has sent together are then
 * carried out together, so its appends are one commit.
 */
static void
read_rest(struct bufferevent *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection);
	struct evbuffer_iovec room;
	ssize_t count;

	/* libevent keeps others from adding bytes to its buffer */
	evbuffer_unfreeze(input, 0);
	if (evbuffer_reserve_space(input, MORE_READ, &room, 1) == 1)
	{
		count = recv(bufferevent_getfd(connection), room.iov_base, room.iov_len, MSG_DONTWAIT);
		/* the end, or an error, is found by libevent in its next turn */
		room.iov_len = count > 0 ? (size_t) count : 0;
		evbuffer_commit_space(input, &room, 1);
	}
	evbuffer_freeze(input, 0);
}

static void
on_read(struct bufferevent *connection, void *arg)
{
	Client *client = arg;

	if (!client->listener->tls &&
		evbuffer_get_length(bufferevent_get_input(connection)) >= LIBEVENT_READ)
		read_rest(connection);
	if (client->is_lingering)
		evbuffer_drain(bufferevent_get_input(connection),
					   evbuffer_get_length(bufferevent_get_input(connection)));
	else
		client_pump(client);
}

void
client_wrote(Client *client)
{
	client_hold(client);
	client_pump(client);
	if (client->connection != NULL && client->was_above_high_water)
	{
		client->was_above_high_water = false;
		if (client->subscriber != NULL && hooks != NULL && hooks->drained != NULL)
			hooks->drained(client);
	}
	client_release(client);
}

/* Called when not more than CLIENT_LOW_WATER bytes wait. */
static void
on_write(struct bufferevent *connection, void *arg)
{
	Client *client = arg;

	(void) connection;
	output_written(client);
	client_wrote(client);
}

void
client_lost(Client *client)
{
	drop(client, LOG_DEBUG, "connection lost");
}

static void
on_event(struct bufferevent *connection, short what, void *arg)
{
	Client *client = arg;

	(void) connection;
	if (what & BEV_EVENT_CONNECTED)
		return;
	if (what & BEV_EVENT_TIMEOUT)
		client_drop(client, "did not read its replies, closed");
	else if (what & BEV_EVENT_ERROR)
		client_lost(client);
	else if (what & BEV_EVENT_EOF)
	{
		/* it may have closed its side only, and wait for replies */
		client->input_ended = true;
		if (client->is_lingering)
			disconnect(client);
		else
			client_pump(client);
	}
}

Client *
client_create(struct bufferevent *connection, const char *address, const ListenAddress *listener)
{
	static uint64_t last_id;
	Client *client = mem_zero(sizeof(Client));

	client->id = ++last_id;
	client->connection = connection;
	snprintf(client->address, sizeof(client->address), "%s", address);
	client->listener = listener;
	client->connected_at = client->last_request_at = clock_usecs();
	client->protocol = 2;
	client->dialect = listener->dialect;
	client->references = 1;
	request_parser_init(&client->parser);
	if (!settings.require_auth)
		client_set_role(client, store_role_default());

	client->next = clients;
	if (clients != NULL)
		clients->previous = client;
	clients = client;
	count++;
	counters.connections++;

	bufferevent_setcb(connection, on_read, on_write, on_event, client);
	bufferevent_setwatermark(connection, EV_WRITE, CLIENT_LOW_WATER, 0);
	bufferevent_enable(connection, EV_READ);
	output_begin(client);
	log_line(LOG_DEBUG, "client %llu (%s): connected", (unsigned long long) client->id, address);
	return client;
}

/* ---- pushes ---- */

size_t
client_output(const Client *client)
{
	if (client->connection == NULL)
		return 0;
	return evbuffer_get_length(bufferevent_get_output(client->connection));
}

bool
client_is_idle(const Client *client)
{
	return client->connection != NULL && client->calls == 0 && client->parser.request == NULL &&
		   evbuffer_get_length(bufferevent_get_input(client->connection)) == 0;
}

void
client_push_begin(Client *client, Reply *reply)
{
	reply_begin(reply, bufferevent_get_output(client->connection), client->protocol);
}

void
client_watch_output(Client *client)
{
	client->was_above_high_water = true;
}

void
client_push_end(Client *client, Reply *reply)
{
	reply_end(reply);
	output_added(client);
	if (client_output(client) > CLIENT_HIGH_WATER)
		client->was_above_high_water = true;
}
