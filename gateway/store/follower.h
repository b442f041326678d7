/*
 * follower.h
 *		Follows the store of a role, for all of its subscriptions.
 *
 * One connection reads every event once, soon after its commit, into a ring; all
 * subscriptions that are up to date take their events from there.  Only a role that has
 * subscriptions has a follower that works.
 */
#ifndef STORE_FOLLOWER_H
#define STORE_FOLLOWER_H

#include "store/history.h"
#include "store/ring.h"
#include "store/role.h"

typedef struct Subscription Subscription;
typedef struct Follower Follower;

struct Follower
{
	StoreRole *role;
	Ring ring;
	/* Is it known where the ring begins? */
	bool is_known;
	/* the table of events, by its OID: where the ring comes from, and what was read last */
	uint32_t store;
	uint32_t store_read;
	History history;
	Subscription *subscriptions;

	/* of follower.c */
	StoreLink *link;
	/* the newest event that was read; -1: none */
	int64_t newest;
	Uuid newest_id;
	/* the session in which it was there, and whether the read under way looks for it */
	int checked_session;
	bool is_checking;
	bool has_lost;
	StoreRequest wait;
	StoreRequest read;
	bool is_waiting;
	bool is_reading;
	/* the last page was full */
	bool has_more;
	int64_t head;
	/* PostgreSQL lets no other session wait */
	bool must_poll;
	bool has_failed;
	bool is_ending;
	struct event *timer;
};

/* Called once, before any other. */
extern void followers_setup(void);
/* Adds a subscription to those of its role, and begins to follow if it is the first. */
extern Follower *follower_add(StoreRole *role, Subscription *subscription);
/* The last one that leaves lets the follower stop. */
extern void follower_remove(Follower *follower, Subscription *subscription);

#endif /* STORE_FOLLOWER_H */
