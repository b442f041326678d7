/*
 * acknowledge.c
 *		What consumers say about the events that were delivered to them.
 *
 * An acknowledgement is a position.  If it is that of an event of a diverted
 * stream (delivery.c), it is meant for that stream; events of diverted streams
 * are never delivered together with others.  Otherwise it moves the cursor.
 *
 * A cursor must not pass an event that is still in flight, so a position that was
 * not taken yet, or above one whose event is uncommitted or not even written, is
 * refused: such an event was delivered to nobody.  For a consumer of a group, a row says
 * exactly what was delivered to it.
 */
#include "postgres.h"

#include "read/horizon.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "store/early_release.h"
#include "store/event.h"
#include "store/position_sequence.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/acknowledge.h"
#include "subscription/subscription.h"
#include "wakeup/doorbell.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

static const SierraQuery advance_stream_query = {
	"UPDATE %1$s.subscription_streams AS t SET state = 'draining', position = $3, version = $4,"
	" delivered = CASE WHEN t.delivered OPERATOR(pg_catalog.>) $3 THEN t.delivered END,"
	" attempts = 0, failed_position = NULL, failed_version = NULL, retry_at = NULL"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2",
	4,
	{TEXTOID, TEXTOID, INT8OID, INT8OID}};

static const SierraQuery move_query = {
	"UPDATE %1$s.subscription_cursors AS c"
	" SET cursor = CASE WHEN c.cursor OPERATOR(pg_catalog.<) $2 THEN $2 ELSE c.cursor END,"
	" acknowledged_at = pg_catalog.clock_timestamp()"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1 AND c.partition_id OPERATOR(pg_catalog.=) -1",
	2,
	{TEXTOID, INT8OID}};

static const SierraQuery move_leased_query = {
	"UPDATE %1$s.subscription_cursors AS c"
	" SET cursor = $2, acknowledged_at = pg_catalog.clock_timestamp()"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1 AND c.consumer OPERATOR(pg_catalog.=) $3"
	" AND c.cursor OPERATOR(pg_catalog.<) $2",
	3,
	{TEXTOID, INT8OID, TEXTOID}};

static const SierraQuery member_query = {
	"SELECT m.acknowledged, m.delivered FROM %1$s.subscription_consumers AS m"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2"
	" FOR NO KEY UPDATE",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery seen_query = {
	"UPDATE %1$s.subscription_consumers AS m"
	" SET acknowledged = $3, seen_at = pg_catalog.clock_timestamp()"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

/* A drained stream needs no row once the cursor has reached its position. */
static const SierraQuery forget_drained_query = {
	"DELETE FROM %1$s.subscription_streams AS t USING %1$s.subscription_cursors AS c"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.state OPERATOR(pg_catalog.=) 'drained'"
	" AND c.subscription OPERATOR(pg_catalog.=) $1"
	" AND (c.partition_id OPERATOR(pg_catalog.=) -1"
	" OR c.partition_id OPERATOR(pg_catalog.=) t.partition_id)"
	" AND t.position OPERATOR(pg_catalog.<=) c.cursor",
	1,
	{TEXTOID}};

static const SierraQuery stream_query = {
	"SELECT t.state, t.position, t.delivered, t.failed_position, t.attempts"
	" FROM %1$s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2"
	" FOR UPDATE",
	2,
	{TEXTOID, TEXTOID}};

/* Being SQL, this query applies the policies of row-level security. */
static const SierraQuery visible_query = {
	"SELECT FROM %1$s.events AS e WHERE e.partition_id OPERATOR(pg_catalog.=) $1"
	" AND e.stream_id OPERATOR(pg_catalog.=) $2 AND e.stream_version OPERATOR(pg_catalog.=) $3",
	3,
	{INT4OID, TEXTOID, INT8OID}};

static const SierraQuery divert_query = {
	"INSERT INTO %1$s.subscription_streams AS t (subscription, stream_id, partition_id, state,"
	" position, version, failed_position, failed_version, attempts, retry_at, reason, failed_at)"
	" VALUES ($1, $2, $3, CASE WHEN $7 THEN 'parked' ELSE 'retrying' END, $4"
	" OPERATOR(pg_catalog.-) 1, $5 OPERATOR(pg_catalog.-) 1, $4, $5, $6,"
	" CASE WHEN NOT $7 THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)"
	" CASE WHEN $10 THEN sierra_internal.retry_pause($6, $8) ELSE $8 END END, $9,"
	" pg_catalog.clock_timestamp())"
	" ON CONFLICT (subscription, stream_id) DO UPDATE SET state = excluded.state,"
	" position = excluded.position, version = excluded.version, delivered = NULL,"
	" failed_position = excluded.failed_position, failed_version = excluded.failed_version,"
	" attempts = excluded.attempts, retry_at = excluded.retry_at, reason = excluded.reason,"
	" failed_at = excluded.failed_at",
	10,
	{TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID, INT4OID, BOOLOID, INTERVALOID, TEXTOID, BOOLOID}};

static const SierraQuery set_error_query = {
	"UPDATE %1$s.subscription_cursors AS c"
	" SET last_error = $3, last_error_at = pg_catalog.clock_timestamp()"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND (c.partition_id OPERATOR(pg_catalog.=) $2 OR c.partition_id OPERATOR(pg_catalog.=) -1)",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static void
report_not_delivered(const SierraSubscription *subscription, int64 position)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("position %lld of subscription \"%s\" was not delivered", (long long) position,
				   text_to_cstring(subscription->name)),
			errhint("Pass the global_position of an event that enext() returned and that was not "
					"acknowledged."));
}

/* What the group knows about a consumer. */
typedef struct Member
{
	int64 acknowledged;
	int64 delivered;
} Member;

/* Finds and locks the row of a consumer; raises SE008 if it is no longer in the group. */
static Member
find_member(const SierraSubscription *subscription, text *consumer)
{
	Datum values[2] = {PointerGetDatum(subscription->name), PointerGetDatum(consumer)};
	Member member;

	if (sierra_query(subscription->store, &member_query, values, NULL, false) == 0)
		sierra_subscription_report_stale(subscription, consumer);
	member.acknowledged = sierra_query_int8(0, 1);
	member.delivered = sierra_query_int8(0, 2);
	return member;
}

/* Records that a consumer is alive, and what it has acknowledged. */
static void
see_member(const SierraSubscription *subscription, text *consumer, int64 acknowledged)
{
	Datum values[3] = {PointerGetDatum(subscription->name), PointerGetDatum(consumer),
					   Int64GetDatum(acknowledged)};

	sierra_query(subscription->store, &seen_query, values, NULL, false);
}

static SierraSubscription *
load_for_answer(const SierraStore *store, text *name, text *consumer, MemoryContext context)
{
	SierraSubscription *subscription;

	/*
	 * A consumer that polls, processes and acknowledges in one transaction is
	 * not overtaken by another.
	 */
	sierra_subscription_lock(store, name, consumer);
	subscription = sierra_subscription_load(store, name, context, false);
	if (subscription->grouped && consumer == NULL)
		sierra_subscription_report_grouped(subscription);
	if (!subscription->grouped && consumer != NULL)
		sierra_subscription_report_stale(subscription, consumer);
	return subscription;
}

/* The event that an answer is about. */
typedef struct Answered
{
	SierraSink base;
	const SierraSubscription *subscription;
	MemoryContext context;
	bool matches;
	int32 partition;
	text *stream_id;
	int64 version;
} Answered;

static bool
keep_answered(SierraSink *base, TupleTableSlot *slot)
{
	Answered *event = (Answered *) base;
	MemoryContext old = MemoryContextSwitchTo(event->context);

	event->matches = sierra_subscription_matches(event->subscription, slot);
	event->partition = sierra_slot_int4(slot, Anum_events_partition_id);
	event->stream_id =
		DatumGetTextPCopy(PointerGetDatum(sierra_slot_text(slot, Anum_events_stream_id)));
	event->version = sierra_slot_int8(slot, Anum_events_stream_version);
	MemoryContextSwitchTo(old);
	return false;
}

static bool
find_event(const SierraSubscription *subscription, int64 position, Answered *event)
{
	bool found;

	sierra_push_new_snapshot();
	found = sierra_locate(subscription->store, position, &event->base);
	PopActiveSnapshot();
	return found;
}

/* Does the consumer hold the partition?  Without a group (NULL), yes. */
static bool
holds(SierraSubscription *subscription, int partition, text *consumer)
{
	if (consumer == NULL)
		return true;
	sierra_subscription_load_leases(subscription, consumer);
	return subscription->after[partition] != SIERRA_NOT_READ;
}

/*
 * If the position is that of an event of a diverted stream, acknowledges that
 * stream and returns true.  Such a position never moves the cursor, not even
 * when the stream is past it.  Otherwise a client that repeats its call because
 * it got no answer would skip events of other streams that were never
 * delivered.
 */
static bool
acknowledge_stream(SierraSubscription *subscription, int64 position, text *consumer)
{
	Answered event = {
		.base = {keep_answered}, .subscription = subscription, .context = subscription->context};
	Datum values[4] = {PointerGetDatum(subscription->name)};
	bool isnull;
	bool is_drained;
	Datum delivered;

	if (!subscription->has_diverted || !find_event(subscription, position, &event) ||
		!holds(subscription, event.partition, consumer))
		return false;
	values[1] = PointerGetDatum(event.stream_id);
	if (sierra_query(subscription->store, &stream_query, values, NULL, false) == 0)
		return false;
	if (position <= sierra_query_int8(0, 2))
		return true;
	is_drained = strcmp(sierra_query_cstring(0, 1), "drained") == 0;
	if (is_drained)
		return false;
	delivered = sierra_query_value(0, 3, INT8OID, &isnull);
	if (isnull || position > DatumGetInt64(delivered))
		report_not_delivered(subscription, position);
	values[2] = Int64GetDatum(position);
	values[3] = Int64GetDatum(event.version);
	sierra_query(subscription->store, &advance_stream_query, values, NULL, false);
	return true;
}

static bool
put_nothing(SierraSink *base, TupleTableSlot *slot)
{
	return false;
}

/*
 * Raises 22023 for a position that cannot have been delivered: one that was not
 * taken yet, or one with an append in flight at it or below it.  The sequence of
 * positions can be below the newest event, since rows can be loaded without it
 * (position.c); then the event itself is looked up.
 */
static void
check_was_visible(const SierraSubscription *subscription, int64 position)
{
	const SierraStore *store = subscription->store;
	SierraSink sink = {put_nothing};
	bool was_visible;

	sierra_push_new_snapshot();
	was_visible =
		(position <= sierra_position_last(store) || sierra_locate(store, position, &sink)) &&
		!sierra_horizon_in_flight(store, subscription->wanted, position);
	PopActiveSnapshot();
	if (!was_visible)
		report_not_delivered(subscription, position);
}

static void
move_leased(const SierraSubscription *subscription, int64 position, text *consumer,
			const Member *member)
{
	Datum values[3] = {PointerGetDatum(subscription->name), Int64GetDatum(position),
					   PointerGetDatum(consumer)};

	if (position > member->delivered)
		report_not_delivered(subscription, position);
	if (position > member->acknowledged)
		sierra_query(subscription->store, &move_leased_query, values, NULL, false);
	see_member(subscription, consumer, Max(position, member->acknowledged));
}

int64
sierra_acknowledge(const SierraStore *store, text *name, int64 position, text *consumer)
{
	MemoryContext context = sierra_query_begin();
	SierraSubscription *subscription = load_for_answer(store, name, consumer, context);
	Datum values[2] = {PointerGetDatum(name), Int64GetDatum(position)};
	int64 cursor = subscription->cursor;
	Member member = {SIERRA_NONE, SIERRA_NONE};

	/*
	 * Locked before the rows of streams, in the same order as when a consumer
	 * is removed: otherwise both could wait for each other.
	 */
	if (consumer != NULL)
		member = find_member(subscription, consumer);
	if (acknowledge_stream(subscription, position, consumer))
	{
		if (consumer != NULL)
			see_member(subscription, consumer, member.acknowledged);
	}
	else
	{
		if (consumer != NULL)
			move_leased(subscription, position, consumer, &member);
		else if (position > cursor)
		{
			check_was_visible(subscription, position);
			if (sierra_query(store, &move_query, values, NULL, false) == 0)
				sierra_subscription_report_not_stored(subscription);
		}
		cursor = Max(cursor, position);
		if (subscription->has_diverted)
			sierra_query(store, &forget_drained_query, values, NULL, false);
	}
	sierra_query_end();
	sierra_doorbell_note_progress();
	return cursor;
}

/*
 * How often the event at this position failed before, by the row of its
 * diverted stream, which the last query found.  -1 if it cannot have been
 * delivered.
 */
static int
attempts_of_row(int64 position)
{
	bool delivered_null;
	bool failed_null;
	char *state = sierra_query_cstring(0, 1);
	int64 done = sierra_query_int8(0, 2);
	int64 delivered = DatumGetInt64(sierra_query_value(0, 3, INT8OID, &delivered_null));
	int64 failed = DatumGetInt64(sierra_query_value(0, 4, INT8OID, &failed_null));
	int attempts = sierra_query_int4(0, 5);

	if (position <= done)
		return -1;
	if (strcmp(state, "drained") == 0)
		return 0;
	if (delivered_null || position > delivered)
		return -1;
	return !failed_null && failed == position ? attempts : 0;
}

/* An event that a policy hides from the current user was not delivered to it. */
static bool
is_hidden(const SierraStore *store, const Answered *failed)
{
	Datum values[3] = {Int32GetDatum(failed->partition), PointerGetDatum(failed->stream_id),
					   Int64GetDatum(failed->version)};

	return sierra_store_has_row_security(store) &&
		   sierra_query(store, &visible_query, values, NULL, false) == 0;
}

/* How often the event failed before; raises 22023 if it was not delivered. */
static int
check_delivered(const SierraSubscription *subscription, const Answered *failed, int64 position)
{
	Datum values[2] = {PointerGetDatum(subscription->name), PointerGetDatum(failed->stream_id)};
	int attempts;

	if (!failed->matches || is_hidden(subscription->store, failed))
		report_not_delivered(subscription, position);
	if (sierra_query(subscription->store, &stream_query, values, NULL, false) > 0)
		attempts = attempts_of_row(position);
	else
		attempts = subscription->after[failed->partition] < position ? 0 : -1;
	if (attempts < 0)
		report_not_delivered(subscription, position);
	return attempts;
}

static bool
divert(const SierraSubscription *subscription, const SierraFailure *failure, const Answered *failed,
	   int attempts)
{
	bool park = failure->park || attempts >= subscription->max_attempts;
	Datum values[10] = {PointerGetDatum(subscription->name),
						PointerGetDatum(failed->stream_id),
						Int32GetDatum(failed->partition),
						Int64GetDatum(failure->position),
						Int64GetDatum(failed->version),
						Int32GetDatum(attempts),
						BoolGetDatum(park),
						failure->retry_after,
						PointerGetDatum(failure->reason),
						BoolGetDatum(failure->doubles)};
	bool nulls[10] = {false};
	Datum error_values[3] = {values[0], values[2], values[8]};
	bool error_nulls[3] = {false, false, failure->reason == NULL};

	nulls[8] = failure->reason == NULL;
	sierra_query(subscription->store, &divert_query, values, nulls, false);
	sierra_query(subscription->store, &set_error_query, error_values, error_nulls, false);
	return park;
}

bool
sierra_reject(const SierraStore *store, text *name, const SierraFailure *failure, text *consumer)
{
	MemoryContext context = sierra_query_begin();
	SierraSubscription *subscription = load_for_answer(store, name, consumer, context);
	Answered failed = {.base = {keep_answered}, .subscription = subscription, .context = context};
	bool parked;

	if (!find_event(subscription, failure->position, &failed))
		report_not_delivered(subscription, failure->position);
	if (consumer != NULL)
		see_member(subscription, consumer, find_member(subscription, consumer).acknowledged);
	if (!holds(subscription, failed.partition, consumer))
		sierra_subscription_report_stale(subscription, consumer);
	parked = divert(subscription, failure, &failed,
					check_delivered(subscription, &failed, failure->position) + 1);
	sierra_query_end();
	return parked;
}
