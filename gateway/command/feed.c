#include "command/feed.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const SubscriptionOwner owner;

static Feeds *
feeds_of(Client *client)
{
	Feeds *feeds = client->subscriber;

	if (feeds == NULL)
	{
		client->subscriber = feeds = mem_zero(sizeof(Feeds));
		feeds->client = client;
	}
	return feeds;
}

Feed *
feed_first(const Client *client)
{
	const Feeds *feeds = client->subscriber;

	return feeds != NULL ? feeds->first : NULL;
}

int
feed_count(const Client *client, FeedKind kind)
{
	const Feeds *feeds = client->subscriber;

	return feeds != NULL ? feeds->counts[kind] : 0;
}

bool
client_only_listens(const Client *client)
{
	return client->protocol == 2 &&
		   feed_count(client, FEED_CHANNEL) + feed_count(client, FEED_PATTERN) > 0;
}

/* ---- the list of a client, and its tree of names ---- */

static void
append_feed(Feeds *feeds, Feed *feed)
{
	feed->previous = feeds->last;
	feed->next = NULL;
	if (feeds->last != NULL)
		feeds->last->next = feed;
	else
		feeds->first = feed;
	feeds->last = feed;
}

static void
remove_feed(Feeds *feeds, Feed *feed)
{
	if (feed->previous != NULL)
		feed->previous->next = feed->next;
	else
		feeds->first = feed->next;
	if (feed->next != NULL)
		feed->next->previous = feed->previous;
	else
		feeds->last = feed->previous;
}

static int
compare_names(const void *a, const void *b)
{
	const Feed *one = a;
	const Feed *other = b;

	if (one->kind != other->kind)
		return one->kind < other->kind ? -1 : 1;
	if (one->name_length != other->name_length)
		return one->name_length < other->name_length ? -1 : 1;
	return memcmp(one->name, other->name, one->name_length);
}

static void
add_name(Feeds *feeds, Feed *feed, const Word *name)
{
	feed->name = mem_copy(name->data, name->length);
	feed->name_length = name->length;
	if (tsearch(feed, &feeds->by_name, compare_names) == NULL)
		abort();
}

Feed *
feed_find(const Client *client, FeedKind kind, const Word *name)
{
	const Feeds *feeds = client->subscriber;
	const Feed wanted = {.kind = kind, .name = name->data, .name_length = name->length};
	void *found = feeds != NULL ? tfind(&wanted, &feeds->by_name, compare_names) : NULL;

	return found != NULL ? *(Feed **) found : NULL;
}

/* ---- life ---- */

Feed *
feed_begin(Call *call, FeedKind kind, const FeedCalls *calls, SourceSet *sources, int64_t window,
		   const Word *name, void *arg)
{
	Client *client = call->client;
	Feeds *feeds = feeds_of(client);
	Feed *feed = mem_zero(sizeof(Feed));

	feed->feeds = feeds;
	feed->kind = kind;
	feed->calls = calls;
	feed->call = call;
	feed->arg = arg;
	append_feed(feeds, feed);
	if (name != NULL)
		add_name(feeds, feed, name);
	feeds->counts[kind]++;
	feed->subscription =
		subscription_begin(client->role, sources, window, client->id, &owner, feed);
	return feed;
}

void
feed_end(Feed *feed)
{
	Feeds *feeds = feed->feeds;

	remove_feed(feeds, feed);
	if (feed->name != NULL)
		tdelete(feed, &feeds->by_name, compare_names);
	feeds->counts[feed->kind]--;
	subscription_end(feed->subscription);
	free(feed->name);
	free(feed);
}

void
feed_flow(const Uuid *id)
{
	Subscription *subscription = subscription_find(id);

	if (subscription != NULL)
		subscription_flow(subscription);
}

void
feed_write_push(Reply *reply, const Feed *feed)
{
	reply_push(reply, 3);
	reply_simple(reply, "subscribe");
	reply_uuid(reply, feed->subscription->id.bytes);
	reply_integer(reply, feed->feeds->counts[FEED_ESUB]);
}

/* ---- what subscriptions call ---- */

static void
on_started(Subscription *subscription, const StoreError *error)
{
	Feed *feed = subscription->arg;

	feed->calls->started(feed, error);
}

static void
on_deliver(Subscription *subscription, StoreEvent *event, int64_t cursor)
{
	Feed *feed = subscription->arg;

	feed->calls->deliver(feed, event, cursor);
}

static size_t
get_output(Subscription *subscription)
{
	const Feed *feed = subscription->arg;

	return feed->kind == FEED_BATCH ? feed->collected : client_output(feed->feeds->client);
}

static void
on_paused(Subscription *subscription)
{
	const Feed *feed = subscription->arg;

	/* a batch is answered with what it has */
	if (feed->kind != FEED_BATCH)
		client_watch_output(feed->feeds->client);
}

/* What the client knows of its place is not true any more.  It connects again, and begins again. */
static void
on_lost(Subscription *subscription)
{
	const Feed *feed = subscription->arg;

	client_drop(feed->feeds->client, "is subscribed to a store that has lost its events, closed");
}

static const SubscriptionOwner owner = {on_started, on_deliver, get_output, on_paused, on_lost};

/* ---- what clients call ---- */

/* The client has read: all may send again, another one first each time. */
static void
on_drained(Client *client)
{
	Feeds *feeds = client->subscriber;
	Feed *first = feeds->first;

	if (first == NULL)
		return;
	remove_feed(feeds, first);
	append_feed(feeds, first);
	for (Feed *feed = feeds->first; feed != NULL; feed = feed->next)
		subscription_run(feed->subscription);
}

static void
on_idle(Client *client)
{
	Feeds *feeds = client->subscriber;
	Reply reply;

	for (Feed *feed = feeds->first; feed != NULL; feed = feed->next)
	{
		if (!feed->owes_push)
			continue;
		feed->owes_push = false;
		client_push_begin(client, &reply);
		feed_write_push(&reply, feed);
		client_push_end(client, &reply);
	}
}

static void
on_ended(Client *client)
{
	Feeds *feeds = client->subscriber;

	/* calls that end may begin others, or come here again */
	client->subscriber = NULL;
	while (feeds->first != NULL)
	{
		Feed *feed = feeds->first;

		if (feed->call != NULL)
			feed->calls->abandoned(feed);
		else
			feed_end(feed);
	}
	free(feeds);
}

static const ClientHooks hooks = {on_drained, on_idle, on_ended};

void
feeds_setup(void)
{
	followers_setup();
	client_set_hooks(&hooks);
}
