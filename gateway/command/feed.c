#include "command/feed.h"

#include <stdlib.h>

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

static void
append_feed(Feeds *feeds, Feed *feed)
{
	Feed **last = &feeds->first;

	while (*last != NULL)
		last = &(*last)->next;
	feed->next = NULL;
	*last = feed;
}

Feed *
feed_begin(Call *call, FeedKind kind, const FeedCalls *calls, SourceSet *sources, int64_t window,
		   void *arg)
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
	feeds->counts[kind]++;
	feed->subscription =
		subscription_begin(client->role, sources, window, client->id, &owner, feed);
	return feed;
}

void
feed_end(Feed *feed)
{
	Feed **at = &feed->feeds->first;

	while (*at != feed)
		at = &(*at)->next;
	*at = feed->next;
	feed->feeds->counts[feed->kind]--;
	subscription_end(feed->subscription);
	free(feed->arg);
	free(feed);
}

void
feed_flow(const StoreRole *role, const Uuid *id)
{
	Subscription *subscription = subscription_find(role, id);

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

static const SubscriptionOwner owner = {on_started, on_deliver, get_output, on_paused};

/* ---- what clients call ---- */

/* The client has read: all may send again, another one first each time. */
static void
on_drained(Client *client)
{
	Feeds *feeds = client->subscriber;
	Feed *first = feeds->first;

	if (first == NULL)
		return;
	feeds->first = first->next;
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
