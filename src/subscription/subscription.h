/*
 * subscription.h
 *		Durable subscriptions: what they want, how far they are.
 *
 * A subscription is rows of ordinary tables of its store:
 *		subscriptions			the filter, where it began, its settings
 *		subscription_cursors	up to which position it is acknowledged: one row
 *								with partition -1, or, once a group consumes it,
 *								one for each partition, leased to a consumer
 *		subscription_consumers	consumers of the group
 *		subscription_streams	streams that do not move with the cursor, since
 *								one of their events failed
 */
#ifndef SIERRA_SUBSCRIPTION_H
#define SIERRA_SUBSCRIPTION_H

#include "read/filter.h"
#include "store/store.h"

#include "utils/timestamp.h"

struct sierra_streams_hash;

/* The partition_id of the cursor of a subscription without group. */
#define SIERRA_WHOLE (-1)

typedef struct SierraSubscription
{
	const SierraStore *store;
	MemoryContext context; /* where all of this is */
	text *name;
	text *consumer;			/* NULL without group */
	TimestampTz created_at; /* tells it from another of this name, before or after it */
	bool grouped;			/* has a cursor for each partition */
	SierraFilter streams;
	SierraFilter event_names;
	int64 start_after;							/* the least of the three ways to begin */
	int64 *start_sequences;						/* by partition; SIERRA_NONE: none; or NULL */
	struct sierra_streams_hash *start_versions; /* stream id to int64, or NULL */
	struct sierra_streams_hash *apart;			/* stream id to SierraApart, or NULL */
	bool has_apart;								/* are there rows in subscription_streams? */
	bool *wanted;								/* by partition */
	int64 *after; /* by partition: the acknowledged cursor, or SIERRA_NOT_READ */
	int64 cursor; /* the least of these; SIERRA_NOT_READ if nothing is read */
	int32 window; /* how many events can be out */
	int64 lease_msecs;
	int32 max_attempts;
} SierraSubscription;

/* A stream that does not move with the cursor. */
typedef struct SierraApart
{
	bool level;		/* done up to position; the cursor takes over above it */
	int64 position; /* up to which the stream is done */
} SierraApart;

/*
 * Keeps other calls for the same subscription and consumer (NULL: the one of
 * no group) out until the transaction ends; true if the lock is new.  So who
 * polls, processes and acknowledges in one transaction does so alone.
 */
extern bool sierra_subscription_lock(const SierraStore *store, const text *name,
									 const text *consumer);
extern void sierra_subscription_unlock(const SierraStore *store, const text *name,
									   const text *consumer);

/*
 * Reads a subscription into a context, with its cursor or cursors.  Raises SE007
 * if there is none.  All that reads is called between sierra_query_begin() and
 * sierra_query_end().
 */
extern SierraSubscription *sierra_subscription_load(const SierraStore *store, text *name,
													MemoryContext context, bool read_only);

/* Restricts it to the partitions that a consumer holds. */
extern void sierra_subscription_load_leases(SierraSubscription *subscription, text *consumer);

/* Fills subscription->apart. */
extern void sierra_subscription_load_apart(SierraSubscription *subscription, bool read_only);

/* Is the event for this subscription?  Checks names too, which a read_all does by itself. */
extern bool sierra_subscription_matches(const SierraSubscription *subscription,
										TupleTableSlot *slot);

/* SierraReadAll.wants: where it began, and streams apart; arg is the subscription. */
extern bool sierra_subscription_wants(void *arg, TupleTableSlot *slot);

/* Raises SE008: the consumer is not, or no longer, in the group. */
extern void sierra_subscription_report_stale(const SierraSubscription *subscription,
											 const text *consumer);

#endif /* SIERRA_SUBSCRIPTION_H */
