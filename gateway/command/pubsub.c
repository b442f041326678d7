/*
 * pubsub.c
 *		SUBSCRIBE, PSUBSCRIBE, UNSUBSCRIBE and PUNSUBSCRIBE: channels are streams.
 *
 * Every client library of Redis knows these.  Events come as JSON, from the moment of the
 * command on, and are not counted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "command/command.h"
#include "command/event_json.h"
#include "command/failure.h"
#include "command/feed.h"
#include "command/subscribe_arguments.h"

/* A call, until all that it subscribes to has begun; the arg of its feeds. */
typedef struct Group
{
	Call *call;
	FeedKind kind;
	/* how many words have been looked at, and of their channels, how many have not begun yet */
	int words_taken;
	int starting;
	/* what the client had before */
	int count_before;
	/* by word behind the name: NULL if it was there already */
	Feed *feeds[];
} Group;

static int
count_all(const Client *client)
{
	return feed_count(client, FEED_CHANNEL) + feed_count(client, FEED_PATTERN);
}

/* RESP2 has no pushes, and clients know these arrays there. */
static void
begin_message(Reply *reply, int elements)
{
	if (reply->protocol == 2)
		reply_array(reply, elements);
	else
		reply_push(reply, elements);
}

/* ---- subscribing ---- */

static void
write_confirmation(Reply *reply, const char *what, const char *name, size_t length, int count)
{
	begin_message(reply, 3);
	reply_bulk_text(reply, what);
	if (name != NULL)
		reply_bulk(reply, name, length);
	else
		reply_null(reply);
	reply_integer(reply, count);
}

/* All have begun. */
static void
answer_group(Group *group)
{
	Call *call = group->call;
	int words = call->request->count - 1;
	int count = group->count_before;
	int id_count = 0;
	Uuid *ids = mem_alloc(sizeof(Uuid) * (size_t) words);
	Reply reply;

	call_begin(call, &reply);
	for (int i = 0; i < words; i++)
	{
		const Word *word = &call->request->words[i + 1];
		Feed *feed = group->feeds[i];

		if (feed != NULL)
		{
			ids[id_count++] = feed->subscription->id;
			feed->call = NULL;
			feed->arg = NULL;
			count++;
		}
		write_confirmation(&reply, group->kind == FEED_CHANNEL ? "subscribe" : "psubscribe",
						   word->data, word->length, count);
	}
	free(group);
	call_end(call, &reply);
	for (int i = 0; i < id_count; i++)
		feed_flow(&ids[i]);
	free(ids);
}

/* Ends what the call has begun. */
static void
end_group(Group *group)
{
	for (int i = 0; i < group->call->request->count - 1; i++)
		if (group->feeds[i] != NULL)
			feed_end(group->feeds[i]);
	free(group);
}

static void begin_channels(Group *group);

static void
channel_started(Feed *feed, const StoreError *error)
{
	Group *group = feed->arg;
	Call *call = group->call;

	if (error != NULL)
	{
		end_group(group);
		call_store_error(call, error);
	}
	else
	{
		group->starting--;
		begin_channels(group);
	}
}

static void
channel_abandoned(Feed *feed)
{
	Group *group = feed->arg;
	Call *call = group->call;

	end_group(group);
	call_error(call, "ERR the connection is closed");
}

static void
channel_deliver(Feed *feed, StoreEvent *event, int64_t cursor)
{
	Client *client = feed->feeds->client;
	struct evbuffer *json = evbuffer_new();
	size_t length;
	Reply reply;

	(void) cursor;
	event_to_json(event, json);
	length = evbuffer_get_length(json);
	client_push_begin(client, &reply);
	begin_message(&reply, feed->kind == FEED_PATTERN ? 4 : 3);
	reply_bulk_text(&reply, feed->kind == FEED_PATTERN ? "pmessage" : "message");
	reply_bulk(&reply, feed->name, feed->name_length);
	if (feed->kind == FEED_PATTERN)
		reply_bulk(&reply, event->stream_id, event->stream_id_length);
	reply_bulk(&reply, evbuffer_pullup(json, -1), length);
	client_push_end(client, &reply);
	evbuffer_free(json);
}

static const FeedCalls channel_calls = {channel_started, channel_abandoned, channel_deliver};

static Feed *
begin_channel(Group *group, const Word *word)
{
	SourceSet sources = {.pattern_from = SOURCE_LATEST};

	if (group->kind == FEED_PATTERN)
		source_add_pattern(&sources, word->data, word->length);
	else
		source_add_stream(&sources, word->data, word->length, SOURCE_LATEST);
	group->starting++;
	return feed_begin(group->call, group->kind, &channel_calls, &sources, 0, word, group);
}

/* Each asks the store where it begins: one client's must not make the reads of others wait. */
#define MAX_STARTING 16

/* Begins more of its channels, and answers when all have begun. */
static void
begin_channels(Group *group)
{
	const Request *request = group->call->request;
	int words = request->count - 1;

	while (group->words_taken < words && group->starting < MAX_STARTING)
	{
		int i = group->words_taken++;
		const Word *word = &request->words[i + 1];

		if (feed_find(group->call->client, group->kind, word) == NULL)
			group->feeds[i] = begin_channel(group, word);
	}
	if (group->starting == 0)
		answer_group(group);
}

static void
subscribe(Call *call, FeedKind kind)
{
	const Request *request = call->request;
	int words = request->count - 1;
	char error[256];
	Group *group;

	for (int i = 1; i <= words; i++)
	{
		if (!check_stream_name(&request->words[i], error, sizeof(error)))
		{
			call_error(call, "%s", error);
			return;
		}
	}
	if (call->client->is_closing)
	{
		call_error(call, "ERR the connection is closed");
		return;
	}
	group = mem_zero(sizeof(Group) + sizeof(Feed *) * (size_t) words);
	group->call = call;
	group->kind = kind;
	group->count_before = count_all(call->client);
	begin_channels(group);
}

static void
run_subscribe(Call *call)
{
	subscribe(call, FEED_CHANNEL);
}

static void
run_psubscribe(Call *call)
{
	subscribe(call, FEED_PATTERN);
}

/* ---- unsubscribing ---- */

static void
unsubscribe_all(Client *client, FeedKind kind, const char *what, Reply *reply)
{
	bool found = false;
	Feed *next;

	for (Feed *feed = feed_first(client); feed != NULL; feed = next)
	{
		next = feed->next;
		if (feed->kind != kind)
			continue;
		found = true;
		write_confirmation(reply, what, feed->name, feed->name_length, count_all(client) - 1);
		feed_end(feed);
	}
	if (!found)
		write_confirmation(reply, what, NULL, 0, count_all(client));
}

static void
unsubscribe(Call *call, FeedKind kind, const char *what)
{
	const Request *request = call->request;
	Client *client = call->client;
	Reply reply;

	call_begin(call, &reply);
	if (request->count == 1)
		unsubscribe_all(client, kind, what, &reply);
	for (int i = 1; i < request->count; i++)
	{
		const Word *word = &request->words[i];
		Feed *feed = feed_find(client, kind, word);

		if (feed != NULL)
			feed_end(feed);
		write_confirmation(&reply, what, word->data, word->length, count_all(client));
	}
	call_end(call, &reply);
}

static void
run_unsubscribe(Call *call)
{
	unsubscribe(call, FEED_CHANNEL, "unsubscribe");
}

static void
run_punsubscribe(Call *call)
{
	unsubscribe(call, FEED_PATTERN, "punsubscribe");
}

const Command pubsub_commands[] = {
	{2, -1, false, {"SUBSCRIBE", CALL_LOCAL, run_subscribe}},
	{2, -1, false, {"PSUBSCRIBE", CALL_LOCAL, run_psubscribe}},
	{1, -1, false, {"UNSUBSCRIBE", CALL_LOCAL, run_unsubscribe}},
	{1, -1, false, {"PUNSUBSCRIBE", CALL_LOCAL, run_punsubscribe}},
	{0},
};
