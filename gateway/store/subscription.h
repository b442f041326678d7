/*
 * subscription.h
 *		A subscription of a client: what it wants, where it is, and how it continues.
 *
 * It reads history from the tables, in pages and in turns with others (history.h), until the
 * ring of the follower has all that comes next; then it takes events from there.  One that
 * does not keep up, because its window is closed or its client does not read, falls out of
 * the ring in time, and reads history again later.  Nobody waits for it.
 *
 * What has been delivered is known by numbers (source.h), and by the position up to which
 * all that is wanted was delivered.  So no event comes twice, and none is left out.
 */
#ifndef STORE_SUBSCRIPTION_H
#define STORE_SUBSCRIPTION_H

#include "store/follower.h"
#include "store/role.h"
#include "store/source.h"
#include "store/window.h"

/* Output of the client that ends a page, that stops events, and that allows another page. */
#define SUBSCRIPTION_OUTPUT_MOST ((size_t) 1024 * 1024)
#define SUBSCRIPTION_OUTPUT_HIGH ((size_t) 256 * 1024)
#define SUBSCRIPTION_OUTPUT_LOW ((size_t) 64 * 1024)

#define ROUND_NOT_BEGUN INT64_C(-2)
#define FIRST_PAGE_EVENTS 64

/* What its owner does. */
typedef struct SubscriptionOwner
{
	/*
	 * Once: the subscription has begun, and delivers from subscription_flow() on; or it could
	 * not, because of error.  Then the owner ends it.
	 */
	void (*started)(Subscription *subscription, const StoreError *error);
	/* Sends an event.  Must neither end nor run a subscription of this role. */
	void (*deliver)(Subscription *subscription, StoreEvent *event, int64_t cursor);
	/* Bytes that wait to be sent to the client. */
	size_t (*output)(Subscription *subscription);
	/* There are too many: the owner calls subscription_run() when there are few. */
	void (*paused)(Subscription *subscription);
	/*
	 * The store has lost events that were read, or is another one: the owner ends it before this
	 * returns.
	 */
	void (*lost)(Subscription *subscription);
} SubscriptionOwner;

/* How history is read; afterwards, events come from the ring. */
typedef enum SubscriptionPhase
{
	PHASE_STARTING,	 /* its numbers are not known yet */
	PHASE_NUMBERED,	 /* stream by stream, or partition by partition, by their numbers */
	PHASE_POSITIONED /* everything above the position */
} SubscriptionPhase;

struct Subscription
{
	Uuid id;
	StoreRole *role;
	Follower *follower;
	const SubscriptionOwner *owner;
	void *arg;
	/* of the client: its statements stay in order */
	uint64_t affinity;

	SourceSet sources;
	Window window;
	SubscriptionPhase phase;
	/* it has begun, and the owner has not answered yet */
	bool is_held;
	/* PHASE_POSITIONED: all that is wanted up to here has been delivered */
	int64_t position;
	/* PHASE_NUMBERED: which stream or partition is read next, and to which position */
	int round_place;
	int64_t round_end;

	/* of history.c */
	bool is_queued;
	struct HistoryPage *page;
	Subscription *next_queued;
	int page_events;

	/* of subscription.c: the statement that finds the start */
	StoreRequest *start;
	StoreLink *start_link;
	int start_partitions;
	int64_t *start_sequences;

	/* all of a follower, and all of the same hash of the id */
	Subscription *previous;
	Subscription *next;
	Subscription *next_by_id;
};

/*
 * Begins a subscription; sources is taken over.  owner->started() is called later, never from
 * within.
 */
extern Subscription *subscription_begin(StoreRole *role, SourceSet *sources, int64_t window,
										uint64_t affinity, const SubscriptionOwner *owner,
										void *arg);
extern void subscription_end(Subscription *subscription);
/* The client knows that it has begun: now events can come. */
extern void subscription_flow(Subscription *subscription);
/* Delivers what can be delivered now; reads history if that is needed.  Never ends it. */
extern void subscription_run(Subscription *subscription);
/* The subscription with this id; NULL if there is none. */
extern Subscription *subscription_find(const Uuid *id);

/* For history.c: takes an event of a page.  False: no more of them. */
extern bool subscription_offer(Subscription *subscription, StoreEvent *event);
/* Does it want a page now? */
extern bool subscription_wants_page(Subscription *subscription);
/* All is read up to position; PHASE_NUMBERED: of all streams or partitions. */
extern void subscription_reached(Subscription *subscription, int64_t position);
#endif /* STORE_SUBSCRIPTION_H */
