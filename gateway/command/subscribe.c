/*
 * subscribe.c
 *		ESUB, EPSUB and EACK.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "command/command.h"
#include "command/event_reply.h"
#include "command/failure.h"
#include "command/feed.h"
#include "command/subscribe_arguments.h"

/* Events of one reply, with esub_reply=batch. */
#define BATCH_EVENTS 1000

/* ---- pushes ---- */

/* Clients that take the push "subscribe" for an answer to SUBSCRIBE, and raise an error. */
static bool
wants_push(const Client *client)
{
	const char *library = client->library != NULL ? client->library : "";

	return strncmp(library, "node-redis", 10) != 0 && strncmp(library, "ioredis", 7) != 0;
}

/*
 * redis-rs takes it for the reply to its oldest request without one, so it must not come while
 * there are others.
 */
static bool
is_only_call(const Call *call)
{
	const Client *client = call->client;

	return client->calls == 1 && client->parser.request == NULL && client->connection != NULL &&
		   evbuffer_get_length(bufferevent_get_input(client->connection)) == 0;
}

static void
push_started(Feed *feed, const StoreError *error)
{
	Call *call = feed->call;
	Uuid id = feed->subscription->id;
	Reply reply;

	if (error != NULL)
	{
		feed_end(feed);
		call_store_error(call, error);
		return;
	}
	feed->call = NULL;
	call_begin(call, &reply);
	reply_uuid(&reply, id.bytes);
	if (wants_push(call->client))
	{
		if (is_only_call(call))
			feed_write_push(&reply, feed);
		else
			feed->owes_push = true;
	}
	call_end(call, &reply);
	feed_flow(&id);
}

static void
push_abandoned(Feed *feed)
{
	Call *call = feed->call;

	feed_end(feed);
	call_error(call, "ERR the connection is closed");
}

static void
push_deliver(Feed *feed, StoreEvent *event, int64_t cursor)
{
	Client *client = feed->feeds->client;
	Reply reply;

	client_push_begin(client, &reply);
	reply_push(&reply, 4);
	reply_simple(&reply, "message");
	reply_uuid(&reply, feed->subscription->id.bytes);
	reply_integer(&reply, cursor);
	event_reply_map(&reply, event);
	client_push_end(client, &reply);
}

static const FeedCalls push_calls = {push_started, push_abandoned, push_deliver};

/* ---- esub_reply=batch: the next events are the reply, and then the subscription ends ---- */

typedef struct Batch
{
	StoreEvent *events[BATCH_EVENTS];
	int count;
	struct event *timer;
} Batch;

static void
free_batch(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		store_event_unref(batch->events[i]);
	event_free(batch->timer);
	free(batch);
}

static void
batch_answer(Feed *feed)
{
	Batch *batch = feed->arg;
	Call *call = feed->call;
	Reply reply;

	feed_end(feed);
	call_begin(call, &reply);
	reply_array(&reply, batch->count);
	for (int i = 0; i < batch->count; i++)
		event_reply_map(&reply, batch->events[i]);
	free_batch(batch);
	call_end(call, &reply);
}

static void
on_batch_timer(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	batch_answer(arg);
}

static void
batch_started(Feed *feed, const StoreError *error)
{
	Call *call = feed->call;
	Batch *batch = feed->arg;

	if (error == NULL)
	{
		subscription_flow(feed->subscription);
		return;
	}
	feed_end(feed);
	free_batch(batch);
	call_store_error(call, error);
}

/* What comes in this turn of the loop belongs to the reply too. */
static void
batch_deliver(Feed *feed, StoreEvent *event, int64_t cursor)
{
	const struct timeval now = {0, 0};
	Batch *batch = feed->arg;

	(void) cursor;
	if (batch->count == 0)
		evtimer_add(batch->timer, &now);
	batch->events[batch->count++] = store_event_ref(event);
	feed->collected += event->bytes;
}

static const FeedCalls batch_calls = {batch_started, batch_answer, batch_deliver};

static void
begin_batch(Call *call, SubscribeArguments *arguments)
{
	Batch *batch = mem_zero(sizeof(Batch));
	int64_t window = arguments->window;
	Feed *feed;

	if (window == 0 || window > BATCH_EVENTS)
		window = BATCH_EVENTS;
	feed = feed_begin(call, FEED_BATCH, &batch_calls, &arguments->sources, window, NULL, batch);
	batch->timer = evtimer_new(client_base(), on_batch_timer, feed);
}

/* ---- the commands ---- */

static void
begin(Call *call, SubscribeArguments *arguments, bool is_valid)
{
	const Client *client = call->client;

	if (!is_valid)
		call_error(call, "%s", arguments->error);
	else if (client->is_closing)
		call_error(call, "ERR the connection is closed");
	else if (client->listener->esub_reply == ESUB_REPLY_BATCH)
		begin_batch(call, arguments);
	else if (client->protocol == 2 && client->library != NULL)
		/* an array that was not asked for makes such libraries fail */
		call_error(call, "ERR subscriptions need RESP3, send HELLO 3");
	else
		feed_begin(call, FEED_ESUB, &push_calls, &arguments->sources, arguments->window, NULL,
				   NULL);
	source_set_free(&arguments->sources);
}

static void
run_esub(Call *call)
{
	SubscribeArguments arguments;
	bool is_valid = parse_esub(call->request, &arguments);

	begin(call, &arguments, is_valid);
}

static void
run_epsub(Call *call)
{
	SubscribeArguments arguments;
	bool is_valid = parse_epsub(call->request, &arguments);

	begin(call, &arguments, is_valid);
}

/*
 * From any connection of the same user, because pools change connections; and from its own one,
 * which may have logged in as somebody else.
 */
static bool
may_acknowledge(const Client *client, const Subscription *subscription)
{
	return subscription->affinity == client->id ||
		   strcmp(store_role_name(subscription->role), store_role_name(client->role)) == 0;
}

static void
run_eack(Call *call)
{
	const Word *words = call->request->words;
	Subscription *subscription;
	int64_t cursor;
	Uuid id;

	if (!uuid_parse(words[1].data, words[1].length, &id))
	{
		call_error(call, "INVALIDARG invalid subscription id");
		return;
	}
	if (!text_to_number(words[2].data, words[2].length, &cursor))
	{
		call_error(call, "INVALIDARG unexpected string: expected number");
		return;
	}
	subscription = subscription_find(&id);
	if (subscription == NULL || !may_acknowledge(call->client, subscription))
	{
		call_error(call, "NOTFOUND subscription not found");
		return;
	}
	window_acknowledge(&subscription->window, cursor);
	/* the answer before the events that it allows; the subscription may end with it */
	call_ok(call);
	subscription = subscription_find(&id);
	if (subscription != NULL)
		subscription_run(subscription);
}

const Command subscribe_commands[] = {
	{2, -1, false, {"ESUB", CALL_LOCAL, run_esub}},
	{2, -1, false, {"EPSUB", CALL_LOCAL, run_epsub}},
	{3, 3, false, {"EACK", CALL_LOCAL, run_eack}},
	{0},
};
