/*
 * delivery.c
 *		The consuming engine: what a subscription delivers next.
 *
 * A call keeps no state outside of the tables.  So any session can continue
 * where another ended, and events that were not acknowledged are delivered
 * again.
 *
 * A failed event (enack) must hold up its stream and nothing else.  So its
 * stream is diverted: a row in subscription_streams says up to where the stream
 * is done, and the cursor passes over its events.  When the stream is due, its
 * events are delivered by themselves, in their order, before all others.  Once
 * none is left, its state is "drained", and its events above the position of
 * the row are again delivered with all others.  That cannot happen sooner.  A
 * page that was delivered before, and is acknowledged later, left out all
 * events of the stream that could be seen at that time.
 *
 * The cursor also moves over events that the filter leaves out.  Otherwise a
 * subscription with a filter that few events pass would read the same events
 * again with every call.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/stream_map.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "store/early_release.h"
#include "store/event.h"
#include "store/query.h"
#include "store/run_as.h"
#include "store/scan.h"
#include "subscription/await.h"
#include "subscription/delivery.h"
#include "subscription/subscription.h"
#include "wakeup/pace.h"
#include "wakeup/wait.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/*
 * The cursor is moved over events that the filter leaves out only if it moves
 * by at least this many positions: each move writes a new version of its row.
 */
#define MIN_CURSOR_MOVE 1000

/* How long a call that does not wait reads events without finding a match, in microseconds. */
#define READ_LIMIT_USECS (1 * USECS_PER_SEC)

/* Counts the events of one look while they are put into the result. */
typedef struct EventPage
{
	int64 after;		  /* events up to this position count, but are not returned */
	int64 window;		  /* how many more events fit into the window */
	int64 taken;		  /* how many events were found */
	int64 first_position; /* position of the first of them */
} EventPage;

/* What a look found. */
typedef enum Outcome
{
	FOUND_NOTHING,
	DELIVERED,		  /* events that follow the cursor */
	DELIVERED_STREAM, /* events of a diverted stream */
	MUST_ACKNOWLEDGE  /* the caller has to acknowledge events of a diverted stream first */
} Outcome;

/* One call. */
typedef struct Delivery
{
	const SierraConsume *request;
	SierraEventRows *result;
	SierraTime start;
	SierraTime give_up;				  /* when to stop reading without a match */
	SierraTime deadline;			  /* when to stop waiting */
	int64 seen_cursor;				  /* the cursor at the last look */
	TimestampTz seen_created_at;	  /* of the subscription at that look */
	int64 passed;					  /* no event is wanted up to here, or SIERRA_NONE */
	int64 idle;						  /* the last look found nothing up to here, or SIERRA_NONE */
	bool must_commit;				  /* other sessions have to see a change soon */
	EventPage page;					  /* of the current look */
	SierraSubscription *subscription; /* of the current look */
} Delivery;

static bool
count_event(void *arg, int64 position, bool *wanted)
{
	EventPage *page = &((Delivery *) arg)->page;

	if (page->taken++ == 0)
		page->first_position = position;
	page->window--;
	*wanted = position > page->after;
	return page->window > 0;
}

static void
begin_page(Delivery *delivery)
{
	EventPage *page = &delivery->page;

	page->after = page->first_position = SIERRA_NONE;
	page->window = delivery->subscription->window;
	page->taken = 0;
	delivery->result->count = count_event;
	delivery->result->arg = delivery;
}

static const SierraQuery due_query = {
	"SELECT t.stream_id, t.version FROM %1$s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1"
	" AND (t.state OPERATOR(pg_catalog.=) 'draining' OR t.state OPERATOR(pg_catalog.=) 'retrying'"
	" AND t.retry_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"
	" AND ($2 IS NULL OR EXISTS (SELECT FROM %1$s.subscription_cursors AS c"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND c.partition_id OPERATOR(pg_catalog.=) t.partition_id"
	" AND c.consumer OPERATOR(pg_catalog.=) $2))"
	" ORDER BY t.position LIMIT 1 FOR UPDATE OF t",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery deliver_stream_query = {
	"UPDATE %1$s.subscription_streams AS t SET delivered = $3"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2"
	" AND (t.delivered IS NULL OR t.delivered OPERATOR(pg_catalog.<>) $3)",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

/*
 * The row of the cursor is written too, though it does not change.  A
 * transaction with an old snapshot can still see the stream as diverted and
 * move the cursor over its new events; or it can set a stream to drained
 * although the cursor has passed events of it since.  Because of the write,
 * such a transaction fails with 40001 and skips no event.
 */
static const SierraQuery drained_query = {
	"WITH drained AS (UPDATE %1$s.subscription_streams AS t SET state = 'drained', delivered = NULL"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2"
	" RETURNING t.partition_id)"
	" UPDATE %1$s.subscription_cursors AS c SET cursor = c.cursor FROM drained AS d"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND (c.partition_id OPERATOR(pg_catalog.=) -1"
	" OR c.partition_id OPERATOR(pg_catalog.=) d.partition_id)",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery deliver_query = {
	"UPDATE %1$s.subscription_consumers AS m SET delivered = $3"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2"
	" AND m.delivered OPERATOR(pg_catalog.<) $3",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

/*
 * Nothing is left up to a position.  So what was delivered to the consumer up
 * to there belongs to diverted streams or is done, and counts as acknowledged.
 */
static const SierraQuery nothing_outstanding_query = {
	"UPDATE %1$s.subscription_consumers AS m SET acknowledged = m.delivered"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2"
	" AND m.acknowledged OPERATOR(pg_catalog.<) m.delivered"
	" AND m.delivered OPERATOR(pg_catalog.<=) $3",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

static const SierraQuery pass_query = {
	"UPDATE %1$s.subscription_cursors AS c SET cursor = $3"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1 AND c.cursor OPERATOR(pg_catalog.<) $3"
	" AND c.cursor OPERATOR(pg_catalog.>=) $4"
	" AND CASE WHEN $2 IS NULL THEN c.partition_id OPERATOR(pg_catalog.=) -1"
	" ELSE c.consumer OPERATOR(pg_catalog.=) $2 END"
	" AND EXISTS (SELECT FROM %1$s.subscriptions AS s"
	" WHERE s.subscription OPERATOR(pg_catalog.=) $1"
	" AND s.created_at OPERATOR(pg_catalog.=) $5)",
	5,
	{TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID}};

static bool
goes_on(void *arg)
{
	Delivery *delivery = arg;

	return sierra_now() < delivery->give_up;
}

static bool
wants(void *arg, TupleTableSlot *slot)
{
	return sierra_subscription_wants(((Delivery *) arg)->subscription, slot);
}

/* True if the group has changed. */
static bool
join_group(const Delivery *delivery, const SierraSubscription *subscription)
{
	const SierraConsume *request = delivery->request;
	SierraRunAs run_as;
	bool as_owner = sierra_run_as_begin_as_owner(&run_as, subscription->store);
	bool changed;

	changed = DatumGetBool(
		OidFunctionCall3(request->lease_function, NameGetDatum(&subscription->store->name),
						 PointerGetDatum(subscription->name), PointerGetDatum(request->consumer)));
	if (as_owner)
		sierra_run_as_end(&run_as);
	return changed;
}

/* Joins the group, and finds which partitions the consumer holds. */
static void
take_leases(Delivery *delivery, SierraSubscription *subscription)
{
	text *consumer = delivery->request->consumer;

	/*
	 * A consumer that fetches ahead has events to acknowledge, so its leases
	 * stay as they are.
	 */
	if (!delivery->request->has_after && join_group(delivery, subscription))
	{
		delivery->must_commit = true;
		/* The consumer may hold other partitions than at the last look. */
		delivery->passed = SIERRA_NONE;
	}
	sierra_subscription_load_leases(subscription, consumer);
	if (delivery->request->has_after && subscription->cursor == SIERRA_NOT_READ)
		sierra_subscription_report_stale(subscription, consumer);
}

static void
load(Delivery *delivery, MemoryContext context)
{
	const SierraConsume *request = delivery->request;
	SierraSubscription *subscription;

	subscription =
		sierra_subscription_load(delivery->result->store, request->subscription, context, false);
	if (request->consumer != NULL)
		take_leases(delivery, subscription);
	else if (subscription->grouped)
		sierra_subscription_report_grouped(subscription);
	sierra_subscription_load_diverted(subscription, false);
	delivery->subscription = subscription;
}

/* A sink that passes on the events of one stream that the subscription wants. */
typedef struct StreamSink
{
	SierraSink base;
	const SierraSubscription *subscription;
	SierraSink *next;
} StreamSink;

static bool
put_of_stream(SierraSink *base, TupleTableSlot *slot)
{
	StreamSink *sink = (StreamSink *) base;

	if (!sierra_subscription_matches(sink->subscription, slot))
		return true;
	return sink->next->put(sink->next, slot);
}

/*
 * Delivers the events of a diverted stream that is due.  Streams that are due
 * but have no events left become drained.  Returns false if no stream was
 * delivered.
 */
static bool
deliver_due_stream(Delivery *delivery, MemoryContext context)
{
	SierraSubscription *subscription = delivery->subscription;
	SierraEventRows *result = delivery->result;
	text *consumer = delivery->request->consumer;
	bool nulls[2] = {false, consumer == NULL};

	for (;;)
	{
		Datum values[3] = {PointerGetDatum(subscription->name), PointerGetDatum(consumer)};
		StreamSink sink = {
			.base = {put_of_stream}, .subscription = subscription, .next = result->sink};
		SierraRange range = {0, PG_INT64_MAX, false};
		MemoryContext spi;
		text *stream_id;

		if (sierra_query(subscription->store, &due_query, values, nulls, false) == 0)
			return false;
		spi = MemoryContextSwitchTo(context);
		stream_id = DatumGetTextPCopy(sierra_query_required(0, 1, TEXTOID));
		range.from = sierra_query_int8(0, 2) + 1;
		sierra_read_stream(subscription->store, stream_id, range, &sink.base);
		sierra_event_rows_flush(result);
		MemoryContextSwitchTo(spi);

		values[1] = PointerGetDatum(stream_id);
		if (result->last_position != SIERRA_NONE)
		{
			values[2] = Int64GetDatum(result->last_position);
			sierra_query(subscription->store, &deliver_stream_query, values, NULL, false);
			return true;
		}
		if (sierra_query(subscription->store, &drained_query, values, NULL, false) == 0)
			sierra_subscription_report_not_stored(subscription);
		delivery->must_commit = true;
		subscription->has_diverted = true;
		sierra_subscription_load_diverted(subscription, false);
	}
}

/* Delivers the events that follow the cursor; remembers up to which position none is wanted. */
static void
deliver_next(Delivery *delivery)
{
	SierraSubscription *subscription = delivery->subscription;
	SierraEventRows *result = delivery->result;
	const EventPage *page = &delivery->page;
	SierraReadAll request = {.after = SIERRA_NONE,
							 .streams = subscription->streams,
							 .event_names = subscription->event_names,
							 .tags = subscription->tags,
							 .expected_rows = result->remaining,
							 .after_by_partition = subscription->after,
							 .wants = wants,
							 .goes_on = goes_on,
							 .arg = delivery};
	int64 end;

	for (int i = 0; i < subscription->store->partitions; i++)
	{
		if (subscription->after[i] != SIERRA_NOT_READ)
			subscription->after[i] = Max(subscription->after[i], delivery->passed);
	}
	end = sierra_read_all(subscription->store, &request, result->sink);
	sierra_event_rows_flush(result);
	delivery->idle = page->taken == 0 ? end : SIERRA_NONE;
	if (result->row_security)
		return; /* a policy can show later what it hides now */
	delivery->passed = page->taken == 0 ? Max(end, delivery->passed) : page->first_position - 1;
}

/*
 * While a statement of a consumer of a group waits, or reads without a match,
 * other sessions do not see that the consumer is alive.  So a statement does
 * that for at most half of the lease time.
 */
static void
limit_to_lease(Delivery *delivery)
{
	SierraTime limit = delivery->start + delivery->subscription->lease_msecs * 1000 / 2;

	if (delivery->request->consumer == NULL)
		return;
	delivery->deadline = Min(delivery->deadline, limit);
	delivery->give_up = Min(delivery->give_up, limit);
}

/* A sink that looks up whether the stream of an event is diverted. */
typedef struct DivertedSink
{
	SierraSink base;
	const SierraSubscription *subscription;
	const SierraDivertedStream *diverted; /* NULL: its stream is not diverted */
} DivertedSink;

static bool
put_diverted(SierraSink *base, TupleTableSlot *slot)
{
	DivertedSink *sink = (DivertedSink *) base;
	text *stream_id = sierra_slot_text(slot, Anum_events_stream_id);
	SierraStreamSlot *found = sierra_streams_lookup(sink->subscription->diverted, stream_id);

	sink->diverted = found != NULL ? found->value : NULL;
	return false;
}

/*
 * Sets the position at which a caller that fetches ahead continues.  Returns
 * true if the caller first has to acknowledge events of a diverted stream.
 *
 * The position of an event of a diverted stream says nothing about other
 * streams: below it there can be events that were not delivered yet.  So while
 * the caller has such events, it gets no others, and can acknowledge what it
 * has by its last position.  After that it continues at the cursor.
 */
static bool
set_after(Delivery *delivery, MemoryContext context)
{
	int64 after = delivery->request->after;
	DivertedSink sink = {.base = {put_diverted}, .subscription = delivery->subscription};
	MemoryContext spi = MemoryContextSwitchTo(context);

	if (sink.subscription->diverted != NULL)
		sierra_locate(delivery->result->store, after, &sink.base);
	MemoryContextSwitchTo(spi);
	if (sink.diverted != NULL && after <= sink.diverted->position)
		after = SIERRA_NONE;
	delivery->page.after = after;
	return sink.diverted != NULL && after != SIERRA_NONE && !sink.diverted->drained;
}

/* Reads what is next, with the active snapshot. */
static Outcome
deliver(Delivery *delivery, MemoryContext context)
{
	const SierraSubscription *subscription = delivery->subscription;
	bool has_after = delivery->request->has_after;
	MemoryContext spi;

	if (has_after && set_after(delivery, context))
		return MUST_ACKNOWLEDGE;
	if (subscription->cursor == SIERRA_NOT_READ)
		return FOUND_NOTHING; /* others hold all partitions */
	if (!has_after && subscription->has_diverted && deliver_due_stream(delivery, context))
		return DELIVERED_STREAM;
	spi = MemoryContextSwitchTo(context);
	deliver_next(delivery);
	MemoryContextSwitchTo(spi);
	return delivery->result->last_position == SIERRA_NONE ? FOUND_NOTHING : DELIVERED;
}

/*
 * What earlier looks found does not hold for another subscription of the same
 * name, or after the cursor moved back.
 */
static void
compare_with_last_look(Delivery *delivery)
{
	const SierraSubscription *subscription = delivery->subscription;

	if (subscription->cursor < delivery->seen_cursor ||
		subscription->created_at != delivery->seen_created_at)
		delivery->passed = SIERRA_NONE;
	delivery->seen_cursor = subscription->cursor;
	delivery->seen_created_at = subscription->created_at;
}

/* One look for events.  It allocates in the current context, which the caller resets. */
static Outcome
look(Delivery *delivery)
{
	const SierraConsume *request = delivery->request;
	const SierraStore *store = delivery->result->store;
	bool is_new = sierra_subscription_lock(store, request->subscription, request->consumer);
	MemoryContext context = sierra_query_begin();
	Outcome outcome;

	delivery->idle = SIERRA_NONE;
	load(delivery, context);
	limit_to_lease(delivery);
	compare_with_last_look(delivery);
	begin_page(delivery);
	sierra_push_new_snapshot();
	outcome = deliver(delivery, context);
	PopActiveSnapshot();
	sierra_query_end();

	/*
	 * A session that waits must not hold up others, so it gives the lock back.
	 * But if it set a stream to drained, it keeps the lock until that is
	 * committed: another session that still saw the stream as diverted could
	 * pass over its next events.
	 */
	if (is_new && delivery->result->last_position == SIERRA_NONE && !delivery->must_commit)
		sierra_subscription_unlock(store, request->subscription, request->consumer);
	return outcome;
}

/* Records what the last look found. */
static void
record(Delivery *delivery, Outcome outcome)
{
	const SierraConsume *request = delivery->request;
	SierraEventRows *result = delivery->result;
	Datum values[5] = {PointerGetDatum(request->subscription), PointerGetDatum(request->consumer)};
	bool nulls[5] = {false, request->consumer == NULL, false, false, false};

	sierra_query_begin();
	if (request->consumer != NULL && delivery->idle != SIERRA_NONE)
	{
		values[2] = Int64GetDatum(delivery->idle);
		sierra_query(result->store, &nothing_outstanding_query, values, NULL, false);
	}
	if (request->consumer != NULL && outcome == DELIVERED)
	{
		values[2] = Int64GetDatum(result->last_position);
		sierra_query(result->store, &deliver_query, values, NULL, false);
	}
	if (delivery->seen_cursor != SIERRA_NOT_READ &&
		delivery->passed - delivery->seen_cursor >= MIN_CURSOR_MOVE)
	{
		values[2] = Int64GetDatum(delivery->passed);
		values[3] = Int64GetDatum(delivery->seen_cursor);
		values[4] = TimestampTzGetDatum(delivery->seen_created_at);
		sierra_query(result->store, &pass_query, values, nulls, false);
	}
	sierra_query_end();
}

/* The subscription as one number; another one can have the same by chance. */
static uint32
subject_of(const Delivery *delivery)
{
	const text *name = delivery->request->subscription;
	uint32 hash = hash_bytes((const unsigned char *) VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	return hash_combine(hash, delivery->result->store->schema);
}

/* Looks for events until there are some, or until the deadline. */
static Outcome
wait_for_events(Delivery *delivery, MemoryContext context)
{
	SierraEventRows *result = delivery->result;
	int64 wanted = result->remaining;
	uint32 subject = subject_of(delivery);
	Outcome outcome;
	SierraWaiter waiter;

	sierra_refuse_waiting(delivery->request->wait_usecs);
	sierra_pace_begin(subject, delivery->deadline);
	sierra_wait_begin(&waiter);
	while ((outcome = look(delivery)) == FOUND_NOTHING && !delivery->must_commit &&
		   sierra_wait_next(&waiter, delivery->deadline))
		MemoryContextReset(context);
	sierra_wait_end(&waiter);
	sierra_pace_end(subject, wanted - result->remaining,
					result->remaining <= 0 || delivery->page.window <= 0);
	return outcome;
}

void
sierra_consume(const SierraConsume *request, SierraEventRows *result)
{
	Delivery delivery = {.request = request,
						 .result = result,
						 .start = sierra_now(),
						 .passed = SIERRA_NONE,
						 .seen_cursor = SIERRA_NONE};
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es consume", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Outcome outcome;

	PreventCommandDuringRecovery("enext()");
	PreventCommandIfReadOnly("enext()");
	delivery.deadline = sierra_deadline(request->wait_usecs);
	delivery.give_up = sierra_deadline(Max(request->wait_usecs, READ_LIMIT_USECS));
	if (request->wait_usecs > 0)
		outcome = wait_for_events(&delivery, context);
	else
		outcome = look(&delivery);
	record(&delivery, outcome);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
sierra_peek_events(text *name, SierraEventRows *result)
{
	Delivery delivery = {.result = result, .passed = SIERRA_NONE};
	MemoryContext context = sierra_query_begin();
	SierraSubscription *subscription = sierra_subscription_load(result->store, name, context, true);

	sierra_subscription_load_diverted(subscription, true);
	sierra_query_end();
	delivery.subscription = subscription;
	delivery.give_up = sierra_deadline(READ_LIMIT_USECS);
	begin_page(&delivery);
	deliver_next(&delivery);
}
