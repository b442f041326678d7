/*
 * feed.h
 *		The subscriptions of a client, and how their events are sent.
 */
#ifndef COMMAND_FEED_H
#define COMMAND_FEED_H

#include "client/client.h"
#include "store/subscription.h"

typedef enum FeedKind
{
	FEED_ESUB,	  /* ESUB and EPSUB: pushes with cursors */
	FEED_BATCH,	  /* the same with esub_reply=batch: one reply with the events */
	FEED_CHANNEL, /* SUBSCRIBE */
	FEED_PATTERN, /* PSUBSCRIBE */
	FEED_KINDS
} FeedKind;

typedef struct Feeds Feeds;
typedef struct Feed Feed;

/* What differs between commands. */
typedef struct FeedCalls
{
	/*
	 * It has begun: answers the call, and then lets events come with feed_flow().  With error, it
	 * could not: answers the call, and ends the feed.
	 */
	void (*started)(Feed *feed, const StoreError *error);
	/* The connection ends, or nothing is subscribed any more: the same as with an error. */
	void (*abandoned)(Feed *feed);
	void (*deliver)(Feed *feed, StoreEvent *event, int64_t cursor);
} FeedCalls;

struct Feed
{
	Feeds *feeds;
	FeedKind kind;
	const FeedCalls *calls;
	Subscription *subscription;
	/* the call that is not answered yet, or NULL */
	Call *call;
	/* ESUB: the push "subscribe" is still to come */
	bool owes_push;
	/* FEED_BATCH: bytes of the reply so far */
	size_t collected;
	/* the channel or the pattern, or NULL */
	char *name;
	size_t name_length;
	/* of the command */
	void *arg;
	Feed *previous;
	Feed *next;
};

/* All of a client; client->subscriber. */
struct Feeds
{
	Client *client;
	Feed *first;
	Feed *last;
	/* those with a name, a tree of tsearch() */
	void *by_name;
	int counts[FEED_KINDS];
};

/* Called once, before any client comes. */
extern void feeds_setup(void);
/*
 * Begins a subscription for a call; takes over the sources.  What it calls, it calls later.  name:
 * of a channel or pattern that the client does not have yet, or NULL.
 */
extern Feed *feed_begin(Call *call, FeedKind kind, const FeedCalls *calls, SourceSet *sources,
						int64_t window, const Word *name, void *arg);
extern void feed_end(Feed *feed);
/* The call has ended; events may come, if there still is a subscription with this id. */
extern void feed_flow(const Uuid *id);
/* How many there are of a kind. */
extern int feed_count(const Client *client, FeedKind kind);
extern Feed *feed_first(const Client *client);
/* The feed of a channel or a pattern; NULL if the client has none. */
extern Feed *feed_find(const Client *client, FeedKind kind, const Word *name);
/* The push that says how many subscriptions of ESUB and EPSUB a client has. */
extern void feed_write_push(Reply *reply, const Feed *feed);

/* RESP2: a connection that listens to channels cannot do anything else. */
extern bool client_only_listens(const Client *client);

#endif /* COMMAND_FEED_H */
