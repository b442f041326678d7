/*
 * subscription.h
 *		Durable subscriptions: which events they want, and how far they are.
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

/* What the names of the subscriptions of projections begin with; see sql/projection.sql. */
#define SIERRA_PROJECTION_PREFIX "projection:"

typedef struct SierraSubscription
{
	const SierraStore *store;
	MemoryContext context; /* all of this is allocated here */
	text *name;
	text *consumer;			/* NULL without a group */
	TimestampTz created_at; /* distinguishes it from others that had or will have this name */
	bool grouped;			/* a group consumes it: there is a cursor for each partition */
	SierraFilter streams;
	SierraFilter event_names;
	SierraFilter tags;
	int64 start_after;							/* where it begins, if the next two do not say */
	int64 *start_sequences;						/* NULL, or by partition; SIERRA_NONE: not set */
	struct sierra_streams_hash *start_versions; /* stream id to int64, or NULL */
	struct sierra_streams_hash *diverted;		/* stream id to SierraDivertedStream, or NULL */
	bool has_diverted;							/* subscription_streams has rows of it */
	bool *wanted;								/* by partition */
	int64 *after; /* by partition: the acknowledged cursor, or SIERRA_NOT_READ */
	int64 cursor; /* the lowest of these; SIERRA_NOT_READ if nothing is read */
	int32 window; /* how many delivered events can be unacknowledged */
	int64 lease_msecs;
	int32 max_attempts;
} SierraSubscription;

/* A stream that does not move with the cursor. */
typedef struct SierraDivertedStream
{
	bool drained;	/* events above position are delivered with all others */
	int64 position; /* position up to which the stream is done */
} SierraDivertedStream;

/* Is it that of a projection?  Functions that users call for subscriptions refuse it. */
extern bool sierra_subscription_is_internal(const text *name);

/*
 * Takes a lock on a subscription and a consumer (NULL: without a group) that
 * lasts until the transaction ends, and waits while another transaction holds
 * it.  So a consumer that polls, processes and acknowledges in one transaction
 * does so alone.  Returns true if the transaction did not hold the lock before.
 */
extern bool sierra_subscription_lock(const SierraStore *store, const text *name,
									 const text *consumer);
extern void sierra_subscription_unlock(const SierraStore *store, const text *name,
									   const text *consumer);

/*
 * Reads a subscription with its cursors into a context.  Raises SE007 if it
 * does not exist.  This function and the next two are called between
 * sierra_query_begin() and sierra_query_end(); read_only means with the active
 * snapshot.
 */
extern SierraSubscription *sierra_subscription_load(const SierraStore *store, text *name,
													MemoryContext context, bool read_only);

/* Restricts the subscription to the partitions that a consumer holds. */
extern void sierra_subscription_load_leases(SierraSubscription *subscription, text *consumer);

/* Fills subscription->diverted; it stays NULL if no stream is diverted. */
extern void sierra_subscription_load_diverted(SierraSubscription *subscription, bool read_only);

/*
 * Does the subscription want this event?  Checks partition, names, tags and start,
 * but not the cursor or whether the stream is diverted.
 */
extern bool sierra_subscription_matches(const SierraSubscription *subscription,
										TupleTableSlot *slot);

/*
 * For SierraReadAll.wants; arg is the subscription.  True for an event that is
 * not before the start, and whose stream is not diverted, or is drained up to a
 * lower position.
 */
extern bool sierra_subscription_wants(void *arg, TupleTableSlot *slot);

/* Raises SE008: the consumer is not in the group, or not any more. */
extern void sierra_subscription_report_stale(const SierraSubscription *subscription,
											 const text *consumer);

/*
 * Raises 09000: the row that says how far the subscription is was not written.  To
 * continue would deliver the same events for ever.
 */
extern void sierra_subscription_report_not_stored(const SierraSubscription *subscription);

/* Raises 55000: the caller has to name the consumer, as a group consumes the subscription. */
extern void sierra_subscription_report_grouped(const SierraSubscription *subscription);

#endif /* SIERRA_SUBSCRIPTION_H */
