/*
 * history.h
 *		Reads what subscriptions want from the tables, a page at a time, in turns.
 *
 * A page is limited by events and bytes, and what it takes to find its events too.  So a
 * subscription that reads a long history leaves time for the others.  The connections are
 * not those that clients read with.
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/link.h"

struct Subscription;
struct Follower;

#define HISTORY_LINKS 2

/* In SQL: what an event takes when it is sent, at least. */
#define STORE_EVENT_SIZE                                                                           \
	"512 + coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(payload_bytes), 0)"      \
	" + coalesce(pg_column_size(metadata), 0)"

typedef struct HistoryPage HistoryPage;

typedef struct History
{
	StoreLink *links[HISTORY_LINKS];
	/* of each link, what it reads now */
	HistoryPage *pages[HISTORY_LINKS];
	/* subscriptions that want a page, in the order in which they asked */
	struct Subscription *first;
	struct Subscription *last;
	/* when a page was read last */
	int64_t used_at;
	/* after an error */
	struct event *timer;
} History;

extern void history_begin(History *history, struct StoreRole *role);
extern void history_free(History *history);
/* Ends connections that nobody has used for a while; with at_once, all that are idle. */
extern void history_rest(History *history, bool at_once);
/* Asks for a page: subscription_offer() gets its events, later. */
extern void history_ask(History *history, struct Subscription *subscription);
/* The subscription ends, or does not want one any more. */
extern void history_forget(History *history, struct Subscription *subscription);

#endif /* STORE_HISTORY_H */
