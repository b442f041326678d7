/*
 * delivery.c
 *		The consuming engine: what a subscription delivers next.
 *
 * A call keeps nothing but what a row says, so any session can go on where
 * another ended, and what was not acknowledged comes again.
 *
 * A failed event (enack) must hold up its stream and nothing else.  So its
 * stream is set apart: a row in subscription_streams says up to where the stream
 * is done, and the cursor passes over its events.  When it is due, its events
 * are delivered by themselves, in their order, before all others.  Once none is
 * left the row says "level": the cursor takes over above its position.  It
 * cannot take over sooner: a page that went out before, and is acknowledged
 * later, left out all events of the stream that could be seen then.
 *
 * The cursor also moves over events that the filter leaves out, else a filter
 * that lets little pass would read the same events again with every call.
 */
#include "postgres.h"

#include "base/stream_map.h"
#include "read/locate.h"
#include "read/read_stream.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/await.h"
#include "subscription/delivery.h"
#include "subscription/subscription.h"
#include "wakeup/wait.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* So many positions passed in vain are worth a row version. */
#define WORTH_SAVING 1000

/* How long a call that does not wait reads in vain, in microseconds. */
#define VAIN_USECS (1 * USECS_PER_SEC)

/* One call. */
typedef struct Consuming
{
	const SierraConsume *request;
	SierraResult *result;
	TimestampTz start;
	TimestampTz give_up;		 /* when reading in vain ends */
	TimestampTz deadline;		 /* when waiting ends */
	int64 seen_cursor;			 /* the cursor at the last look */
	TimestampTz seen_created_at; /* which subscription of this name that was */
	int64 passed;				 /* up to which nothing is wanted, or SIERRA_NONE */
	int64 idle;					 /* up to which the last look found nothing, or SIERRA_NONE */
	bool leases_changed;
	bool stream_is_level;			  /* one that was apart became level */
	bool has_stream;				  /* the caller has events of a stream apart in hand */
	bool of_stream;					  /* what was delivered is of a stream apart */
	SierraSubscription *subscription; /* of the current look */
} Consuming;

static const SierraQuery due_query = {
	"SELECT t.stream_id, t.version FROM %s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1"
	" AND (t.state OPERATOR(pg_catalog.=) 'behind' OR t.state OPERATOR(pg_catalog.=) 'retrying'"
	" AND t.retry_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"
	" AND ($2 IS NULL OR EXISTS (SELECT FROM %s.subscription_cursors AS c"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND c.partition_id OPERATOR(pg_catalog.=) t.partition_id"
	" AND c.consumer OPERATOR(pg_catalog.=) $2))"
	" ORDER BY t.position LIMIT 1 FOR UPDATE OF t",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery hand_out_stream_query = {
	"UPDATE %s.subscription_streams AS t SET handed_out = $3"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2"
	" AND t.handed_out IS DISTINCT FROM $3",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

/*
 * The cursor's row is written too.  Who keeps an old snapshot, and in it moves
 * the cursor over events of a stream that he sees apart, or makes a stream level
 * that the cursor has passed since, then fails with 40001 rather than skip them.
 */
static const SierraQuery level_query = {
	"WITH level AS (UPDATE %s.subscription_streams AS t SET state = 'level', handed_out = NULL"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2"
	" RETURNING t.partition_id)"
	" UPDATE %s.subscription_cursors AS c SET cursor = c.cursor FROM level AS l"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND (c.partition_id OPERATOR(pg_catalog.=) -1"
	" OR c.partition_id OPERATOR(pg_catalog.=) l.partition_id)",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery hand_out_query = {
	"UPDATE %s.subscription_consumers AS m SET handed_out = $3"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2"
	" AND m.handed_out OPERATOR(pg_catalog.<) $3",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

/* What was handed out and is not to be delivered any more is set apart, or done. */
static const SierraQuery nothing_out_query = {
	"UPDATE %s.subscription_consumers AS m SET acknowledged = m.handed_out"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2"
	" AND m.acknowledged OPERATOR(pg_catalog.<) m.handed_out"
	" AND m.handed_out OPERATOR(pg_catalog.<=) $3",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

static const SierraQuery pass_query = {
	"UPDATE %s.subscription_cursors AS c SET cursor = $3"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1 AND c.cursor OPERATOR(pg_catalog.<) $3"
	" AND c.cursor OPERATOR(pg_catalog.>=) $4"
	" AND CASE WHEN $2 IS NULL THEN c.partition_id OPERATOR(pg_catalog.=) -1"
	" ELSE c.consumer OPERATOR(pg_catalog.=) $2 END"
	" AND EXISTS (SELECT FROM %s.subscriptions AS s"
	" WHERE s.subscription OPERATOR(pg_catalog.=) $1"
	" AND s.created_at OPERATOR(pg_catalog.=) $5)",
	5,
	{TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID}};

static bool
goes_on(void *arg)
{
	Consuming *consuming = arg;

	return GetCurrentTimestamp() < consuming->give_up;
}

static bool
wants(void *arg, TupleTableSlot *slot)
{
	return sierra_subscription_wants(((Consuming *) arg)->subscription, slot);
}

/* Joins the group, and finds which partitions the consumer holds. */
static void
take_leases(Consuming *consuming, SierraSubscription *subscription)
{
	const SierraStore *store = subscription->store;
	text *consumer = consuming->request->consumer;

	/* Who fetches ahead has events in hand: his leases stay as they are. */
	if (!consuming->request->has_after &&
		DatumGetBool(
			OidFunctionCall3(consuming->request->lease_function, NameGetDatum(&store->name),
							 PointerGetDatum(subscription->name), PointerGetDatum(consumer))))
		consuming->leases_changed = true;
	sierra_subscription_load_leases(subscription, consumer);
	if (consuming->request->has_after && subscription->cursor == SIERRA_NOT_READ)
		sierra_subscription_report_stale(subscription, consumer);
}

static void
load(Consuming *consuming, MemoryContext context)
{
	const SierraConsume *request = consuming->request;
	SierraSubscription *subscription;

	subscription =
		sierra_subscription_load(consuming->result->store, request->subscription, context, false);
	if (request->consumer != NULL)
		take_leases(consuming, subscription);
	else if (subscription->grouped)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("subscription \"%s\" is consumed by a group",
					   text_to_cstring(request->subscription)),
				errdetail("Its partitions are leased to consumers."),
				errhint("Name the consumer with consumer => '...'."));
	sierra_subscription_load_apart(subscription, false);
	consuming->subscription = subscription;
}

/* A sink that lets through what the subscription wants of one stream. */
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
 * Delivers a stream that is apart and due; streams with nothing left become
 * level on the way.  False if none is due.
 */
static bool
deliver_due_stream(Consuming *consuming, MemoryContext context)
{
	SierraSubscription *subscription = consuming->subscription;
	SierraResult *result = consuming->result;
	text *consumer = consuming->request->consumer;
	bool nulls[2] = {false, consumer == NULL};

	for (;;)
	{
		Datum values[3] = {PointerGetDatum(subscription->name), PointerGetDatum(consumer)};
		StreamSink sink = {
			.base = {put_of_stream}, .subscription = subscription, .next = result->sink};
		SierraRange range = {0, PG_INT64_MAX, false};
		MemoryContext spi;
		text *stream_id;
		bool isnull;

		if (sierra_query(subscription->store, &due_query, values, nulls, false) == 0)
			return false;
		spi = MemoryContextSwitchTo(context);
		stream_id = DatumGetTextPCopy(sierra_query_value(0, 1, &isnull));
		range.from = DatumGetInt64(sierra_query_value(0, 2, &isnull)) + 1;
		sierra_read_stream(subscription->store, stream_id, range, &sink.base);
		sierra_result_flush(result);
		MemoryContextSwitchTo(spi);

		values[1] = PointerGetDatum(stream_id);
		if (result->last_position != SIERRA_NONE)
		{
			values[2] = Int64GetDatum(result->last_position);
			sierra_query(subscription->store, &hand_out_stream_query, values, NULL, false);
			consuming->of_stream = true;
			return true;
		}
		sierra_query(subscription->store, &level_query, values, NULL, false);
		consuming->stream_is_level = true;
		subscription->has_apart = true;
		sierra_subscription_load_apart(subscription, false);
	}
}

/* Delivers what follows the cursor; remembers up to where nothing is wanted. */
static void
deliver_next(Consuming *consuming)
{
	SierraSubscription *subscription = consuming->subscription;
	SierraResult *result = consuming->result;
	SierraReadAll request = {.after = SIERRA_NONE,
							 .streams = subscription->streams,
							 .event_names = subscription->event_names,
							 .expected_rows = result->remaining,
							 .after_by_partition = subscription->after,
							 .wants = wants,
							 .goes_on = goes_on,
							 .arg = consuming};
	int64 end;

	for (int i = 0; i < subscription->store->partitions; i++)
	{
		if (subscription->after[i] != SIERRA_NOT_READ)
			subscription->after[i] = Max(subscription->after[i], consuming->passed);
	}
	end = sierra_read_all(subscription->store, &request, result->sink);
	sierra_result_flush(result);
	consuming->idle = result->taken == 0 ? end : SIERRA_NONE;
	if (result->row_security)
		return; /* what a policy hides today it may show tomorrow */
	consuming->passed =
		result->taken == 0 ? Max(end, consuming->passed) : result->first_position - 1;
}

/*
 * A consumer of a group that waits, or reads in vain, shows no sign of life,
 * since the statement has not ended; so it does half of the lease time at most.
 */
static void
limit_to_lease(Consuming *consuming)
{
	TimestampTz limit = consuming->start + consuming->subscription->lease_msecs * 1000 / 2;

	if (consuming->request->consumer == NULL)
		return;
	consuming->deadline = Min(consuming->deadline, limit);
	consuming->give_up = Min(consuming->give_up, limit);
}

/* A sink that looks up the stream of an event among those that are apart. */
typedef struct ApartSink
{
	SierraSink base;
	const SierraSubscription *subscription;
	const SierraApart *apart; /* NULL: it is not */
} ApartSink;

static bool
put_apart(SierraSink *base, TupleTableSlot *slot)
{
	ApartSink *sink = (ApartSink *) base;
	bool isnull;
	text *stream_id = DatumGetTextPP(slot_getattr(slot, Anum_events_stream_id, &isnull));
	SierraStreamSlot *found = sierra_streams_lookup(sink->subscription->apart, stream_id);

	sink->apart = found != NULL ? found->value : NULL;
	return false;
}

/*
 * Where a caller goes on that fetches ahead.  The position of an event of a stream
 * apart says nothing about others: below it there can be events that nobody got
 * yet.  While the caller has such events in hand he gets no others, so that he can
 * acknowledge what he has by its last position; then he goes on at the cursor.
 */
static void
set_after(Consuming *consuming, MemoryContext context)
{
	const SierraConsume *request = consuming->request;
	ApartSink sink = {.base = {put_apart}, .subscription = consuming->subscription};
	MemoryContext spi = MemoryContextSwitchTo(context);

	if (sink.subscription->apart != NULL)
		sierra_locate(consuming->result->store, request->after, &sink.base);
	MemoryContextSwitchTo(spi);
	consuming->result->after = request->after;
	if (sink.apart == NULL)
		return;
	if (request->after <= sink.apart->position)
		consuming->result->after = SIERRA_NONE;
	else
		consuming->has_stream = !sink.apart->level;
}

/* Was something changed that others have to see?  Then this statement ends, empty or not. */
static bool
is_to_be_seen(const Consuming *consuming)
{
	return consuming->leases_changed || consuming->stream_is_level;
}

/* One look for events.  Its memory is that of the caller's context. */
static void
look(Consuming *consuming)
{
	SierraResult *result = consuming->result;
	bool is_new = sierra_subscription_lock(result->store, consuming->request->subscription,
										   consuming->request->consumer);
	MemoryContext context = sierra_query_begin();
	SierraSubscription *subscription;

	consuming->idle = SIERRA_NONE;
	load(consuming, context);
	limit_to_lease(consuming);
	subscription = consuming->subscription;

	/* Others partitions than at the last look, or another subscription of this name. */
	if (consuming->leases_changed || subscription->cursor < consuming->seen_cursor ||
		subscription->created_at != consuming->seen_created_at)
		consuming->passed = SIERRA_NONE;
	consuming->seen_cursor = subscription->cursor;
	consuming->seen_created_at = subscription->created_at;

	result->after = SIERRA_NONE;
	result->window = subscription->window;
	PushActiveSnapshot(GetTransactionSnapshot());
	if (consuming->request->has_after)
		set_after(consuming, context);
	if (subscription->cursor == SIERRA_NOT_READ || consuming->has_stream)
		; /* others hold all partitions, or he has to acknowledge first */
	else if (consuming->request->has_after || !subscription->has_apart ||
			 !deliver_due_stream(consuming, context))
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		deliver_next(consuming);
		MemoryContextSwitchTo(spi);
	}
	PopActiveSnapshot();
	sierra_query_end();

	/*
	 * Who waits holds up nobody.  But who made a stream level does, until that is
	 * committed: another who still saw it apart could pass over its next events.
	 */
	if (is_new && result->last_position == SIERRA_NONE && !is_to_be_seen(consuming))
		sierra_subscription_unlock(result->store, consuming->request->subscription,
								   consuming->request->consumer);
}

/* Writes down what the look found out, once it is the last. */
static void
write_down(Consuming *consuming)
{
	const SierraConsume *request = consuming->request;
	SierraResult *result = consuming->result;
	Datum values[5] = {PointerGetDatum(request->subscription), PointerGetDatum(request->consumer)};
	bool nulls[5] = {false, request->consumer == NULL, false, false, false};

	sierra_query_begin();
	if (request->consumer != NULL && consuming->idle != SIERRA_NONE)
	{
		values[2] = Int64GetDatum(consuming->idle);
		sierra_query(result->store, &nothing_out_query, values, NULL, false);
	}
	if (request->consumer != NULL && result->last_position != SIERRA_NONE && !consuming->of_stream)
	{
		values[2] = Int64GetDatum(result->last_position);
		sierra_query(result->store, &hand_out_query, values, NULL, false);
	}
	if (consuming->seen_cursor != SIERRA_NOT_READ &&
		consuming->passed - consuming->seen_cursor >= WORTH_SAVING)
	{
		values[2] = Int64GetDatum(consuming->passed);
		values[3] = Int64GetDatum(consuming->seen_cursor);
		values[4] = TimestampTzGetDatum(consuming->seen_created_at);
		sierra_query(result->store, &pass_query, values, nulls, false);
	}
	sierra_query_end();
}

void
sierra_consume(const SierraConsume *request, SierraResult *result)
{
	Consuming consuming = {.request = request,
						   .result = result,
						   .start = GetCurrentTimestamp(),
						   .passed = SIERRA_NONE,
						   .seen_cursor = SIERRA_NONE};
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es consume", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	bool waits = request->wait_usecs > 0;
	SierraWaiter waiter;

	PreventCommandDuringRecovery("enext()");
	PreventCommandIfReadOnly("enext()");
	if (waits)
	{
		sierra_refuse_waiting(request->wait_usecs);
		sierra_wait_begin(&waiter);
	}
	consuming.deadline = consuming.start + request->wait_usecs;
	consuming.give_up = consuming.start + Max(request->wait_usecs, VAIN_USECS);
	for (;;)
	{
		look(&consuming);
		if (result->last_position != SIERRA_NONE || is_to_be_seen(&consuming) ||
			consuming.has_stream || !waits || !sierra_wait_next(&waiter, consuming.deadline))
			break;
		MemoryContextReset(context);
	}
	if (waits)
		sierra_wait_end(&waiter);
	write_down(&consuming);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
sierra_peek_events(text *name, SierraResult *result)
{
	Consuming consuming = {.result = result, .passed = SIERRA_NONE};
	MemoryContext context = sierra_query_begin();
	SierraSubscription *subscription = sierra_subscription_load(result->store, name, context, true);

	sierra_subscription_load_apart(subscription, true);
	sierra_query_end();
	consuming.subscription = subscription;
	consuming.give_up = GetCurrentTimestamp() + VAIN_USECS;
	result->window = subscription->window;
	deliver_next(&consuming);
}
