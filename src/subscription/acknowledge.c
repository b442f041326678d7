/*
 * acknowledge.c
 *		What consumers say about the events that were handed out to them.
 *
 * An acknowledgement is a position.  If it is that of an event of a stream apart
 * (delivery.c), it is meant for that stream; events of streams apart never come
 * together with others.  Else it moves the cursor.
 *
 * A cursor must not pass an event that is still in flight, so a position above
 * the newest event, or above one that is uncommitted, is refused: nobody was
 * handed that.  For consumers of groups it is known exactly what was.
 */
#include "postgres.h"

#include "read/horizon.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "store/event.h"
#include "store/position.h"
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
	"UPDATE %s.subscription_streams AS t SET state = 'behind', position = $3, version = $4,"
	" handed_out = CASE WHEN t.handed_out OPERATOR(pg_catalog.>) $3 THEN t.handed_out END,"
	" attempts = 0, failed_position = NULL, failed_version = NULL, retry_at = NULL"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2",
	4,
	{TEXTOID, TEXTOID, INT8OID, INT8OID}};

static const SierraQuery move_query = {
	"UPDATE %s.subscription_cursors AS c"
	" SET cursor = $2, acknowledged_at = pg_catalog.clock_timestamp()"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1 AND c.partition_id OPERATOR(pg_catalog.=) -1"
	" AND c.cursor OPERATOR(pg_catalog.<) $2",
	2,
	{TEXTOID, INT8OID}};

static const SierraQuery move_leased_query = {
	"UPDATE %s.subscription_cursors AS c"
	" SET cursor = $2, acknowledged_at = pg_catalog.clock_timestamp()"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1 AND c.consumer OPERATOR(pg_catalog.=) $3"
	" AND c.cursor OPERATOR(pg_catalog.<) $2",
	3,
	{TEXTOID, INT8OID, TEXTOID}};

static const SierraQuery member_query = {
	"SELECT m.acknowledged, m.handed_out FROM %s.subscription_consumers AS m"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2"
	" FOR NO KEY UPDATE",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery seen_query = {
	"UPDATE %s.subscription_consumers AS m"
	" SET acknowledged = $3, seen_at = pg_catalog.clock_timestamp()"
	" WHERE m.subscription OPERATOR(pg_catalog.=) $1 AND m.consumer OPERATOR(pg_catalog.=) $2",
	3,
	{TEXTOID, TEXTOID, INT8OID}};

/* Streams that the cursor has caught up with need no row any more. */
static const SierraQuery forget_level_query = {
	"DELETE FROM %s.subscription_streams AS t USING %s.subscription_cursors AS c"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.state OPERATOR(pg_catalog.=) 'level'"
	" AND c.subscription OPERATOR(pg_catalog.=) $1"
	" AND (c.partition_id OPERATOR(pg_catalog.=) -1"
	" OR c.partition_id OPERATOR(pg_catalog.=) t.partition_id)"
	" AND t.position OPERATOR(pg_catalog.<=) c.cursor",
	1,
	{TEXTOID}};

static const SierraQuery stream_query = {
	"SELECT t.state, t.position, t.handed_out, t.failed_position, t.attempts"
	" FROM %s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1 AND t.stream_id OPERATOR(pg_catalog.=) $2"
	" FOR UPDATE",
	2,
	{TEXTOID, TEXTOID}};

/* As SQL, this query heeds the policies of row-level security. */
static const SierraQuery visible_query = {
	"SELECT FROM %s.events AS e WHERE e.partition_id OPERATOR(pg_catalog.=) $1"
	" AND e.stream_id OPERATOR(pg_catalog.=) $2 AND e.stream_version OPERATOR(pg_catalog.=) $3",
	3,
	{INT4OID, TEXTOID, INT8OID}};

static const SierraQuery set_apart_query = {
	"INSERT INTO %s.subscription_streams AS t (subscription, stream_id, partition_id, state,"
	" position, version, failed_position, failed_version, attempts, retry_at, reason, failed_at)"
	" VALUES ($1, $2, $3, CASE WHEN $7 THEN 'parked' ELSE 'retrying' END, $4"
	" OPERATOR(pg_catalog.-) 1, $5 OPERATOR(pg_catalog.-) 1, $4, $5, $6,"
	" CASE WHEN NOT $7 THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) $8 END, $9,"
	" pg_catalog.clock_timestamp())"
	" ON CONFLICT (subscription, stream_id) DO UPDATE SET state = excluded.state,"
	" position = excluded.position, version = excluded.version, handed_out = NULL,"
	" failed_position = excluded.failed_position, failed_version = excluded.failed_version,"
	" attempts = excluded.attempts, retry_at = excluded.retry_at, reason = excluded.reason,"
	" failed_at = excluded.failed_at",
	9,
	{TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID, INT4OID, BOOLOID, INTERVALOID, TEXTOID}};

static const SierraQuery set_error_query = {
	"UPDATE %s.subscription_cursors AS c"
	" SET last_error = $3, last_error_at = pg_catalog.clock_timestamp()"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND (c.partition_id OPERATOR(pg_catalog.=) $2 OR c.partition_id OPERATOR(pg_catalog.=) -1)",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static void
report_not_out(const SierraSubscription *subscription, int64 position)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("position %lld of subscription \"%s\" was not handed out", (long long) position,
				   text_to_cstring(subscription->name)),
			errhint("Pass the global_position of an event that enext() returned and that was not "
					"acknowledged."));
}

/* What the group knows of a consumer. */
typedef struct Member
{
	int64 acknowledged;
	int64 handed_out;
} Member;

/* Finds and locks a consumer; SE008 if it is not in the group any more. */
static Member
find_member(const SierraSubscription *subscription, text *consumer)
{
	Datum values[2] = {PointerGetDatum(subscription->name), PointerGetDatum(consumer)};
	Member member;
	bool isnull;

	if (sierra_query(subscription->store, &member_query, values, NULL, false) == 0)
		sierra_subscription_report_stale(subscription, consumer);
	member.acknowledged = DatumGetInt64(sierra_query_value(0, 1, &isnull));
	member.handed_out = DatumGetInt64(sierra_query_value(0, 2, &isnull));
	return member;
}

/* Writes down a sign of life of a consumer, and what it has acknowledged. */
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

	/* Who polls, processes and acknowledges in one transaction is not overtaken. */
	sierra_subscription_lock(store, name, consumer);
	subscription = sierra_subscription_load(store, name, context, false);
	if (subscription->grouped && consumer == NULL)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("subscription \"%s\" is consumed by a group", text_to_cstring(name)),
				errdetail("Its partitions are leased to consumers."),
				errhint("Name the consumer with consumer => '...'."));
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

	PushActiveSnapshot(GetTransactionSnapshot());
	found = sierra_locate(subscription->store, position, &event->base);
	PopActiveSnapshot();
	return found;
}

/* A consumer of a group answers only for the partitions that it holds. */
static bool
holds(SierraSubscription *subscription, int partition, text *consumer)
{
	if (consumer == NULL)
		return true;
	sierra_subscription_load_leases(subscription, consumer);
	return subscription->after[partition] != SIERRA_NOT_READ;
}

/*
 * Is the position that of an event of a stream apart?  Then it is the stream that
 * is acknowledged.  Such a position never moves the cursor, not even when the
 * stream has passed it: a client that repeats its call, as it got no answer, would
 * drop events of other streams that were never handed out.
 */
static bool
acknowledge_stream(SierraSubscription *subscription, int64 position, text *consumer)
{
	Answered event = {
		.base = {keep_answered}, .subscription = subscription, .context = subscription->context};
	Datum values[4] = {PointerGetDatum(subscription->name)};
	bool isnull;
	bool is_level;
	int64 handed_out;

	if (!subscription->has_apart || !find_event(subscription, position, &event) ||
		!holds(subscription, event.partition, consumer))
		return false;
	values[1] = PointerGetDatum(event.stream_id);
	if (sierra_query(subscription->store, &stream_query, values, NULL, false) == 0)
		return false;
	if (position <= DatumGetInt64(sierra_query_value(0, 2, &isnull)))
		return true;
	is_level = strcmp(TextDatumGetCString(sierra_query_value(0, 1, &isnull)), "level") == 0;
	if (is_level)
		return false;
	handed_out = DatumGetInt64(sierra_query_value(0, 3, &isnull));
	if (isnull || position > handed_out)
		report_not_out(subscription, position);
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
 * Nobody can have been handed what is above the newest event, or in flight.  The
 * sequence of positions may be behind the newest event: rows can be loaded
 * without it (position.c).
 */
static void
check_was_visible(const SierraSubscription *subscription, int64 position)
{
	const SierraStore *store = subscription->store;
	SierraSink sink = {put_nothing};
	bool was_visible;

	PushActiveSnapshot(GetTransactionSnapshot());
	was_visible =
		(position <= sierra_position_last(store) || sierra_locate(store, position, &sink)) &&
		!sierra_horizon_in_flight(store, subscription->wanted, position);
	PopActiveSnapshot();
	if (!was_visible)
		report_not_out(subscription, position);
}

static void
move_leased(const SierraSubscription *subscription, int64 position, text *consumer,
			const Member *member)
{
	Datum values[3] = {PointerGetDatum(subscription->name), Int64GetDatum(position),
					   PointerGetDatum(consumer)};

	if (position > member->handed_out)
		report_not_out(subscription, position);
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

	/* Before the rows of streams, as who removes a consumer does: else both could wait. */
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
			sierra_query(store, &move_query, values, NULL, false);
		}
		cursor = Max(cursor, position);
		if (subscription->has_apart)
			sierra_query(store, &forget_level_query, values, NULL, false);
	}
	sierra_query_end();
	sierra_doorbell_note_progress();
	return cursor;
}

/*
 * How often the event at this position failed before; -1 if it cannot have been
 * handed out of its stream's row, which is there.
 */
static int
attempts_of_row(int64 position)
{
	bool isnull;
	bool handed_out_null;
	bool failed_null;
	char *state = TextDatumGetCString(sierra_query_value(0, 1, &isnull));
	int64 done = DatumGetInt64(sierra_query_value(0, 2, &isnull));
	int64 handed_out = DatumGetInt64(sierra_query_value(0, 3, &handed_out_null));
	int64 failed = DatumGetInt64(sierra_query_value(0, 4, &failed_null));
	int attempts = DatumGetInt32(sierra_query_value(0, 5, &isnull));

	if (position <= done)
		return -1;
	if (strcmp(state, "level") == 0)
		return 0;
	if (handed_out_null || position > handed_out)
		return -1;
	return !failed_null && failed == position ? attempts : 0;
}

/* What a policy hides was handed out to nobody who asks with it. */
static bool
is_hidden(const SierraStore *store, const Answered *failed)
{
	Datum values[3] = {Int32GetDatum(failed->partition), PointerGetDatum(failed->stream_id),
					   Int64GetDatum(failed->version)};

	return sierra_store_has_row_security(store) &&
		   sierra_query(store, &visible_query, values, NULL, false) == 0;
}

/* Finds how often the event failed before; raises 22023 if it was not handed out. */
static int
check_handed_out(const SierraSubscription *subscription, const Answered *failed, int64 position)
{
	Datum values[2] = {PointerGetDatum(subscription->name), PointerGetDatum(failed->stream_id)};
	int attempts;

	if (!failed->matches || is_hidden(subscription->store, failed))
		report_not_out(subscription, position);
	if (sierra_query(subscription->store, &stream_query, values, NULL, false) > 0)
		attempts = attempts_of_row(position);
	else
		attempts = subscription->after[failed->partition] < position ? 0 : -1;
	if (attempts < 0)
		report_not_out(subscription, position);
	return attempts;
}

static bool
set_apart(const SierraSubscription *subscription, const SierraFailure *failure,
		  const Answered *failed, int attempts)
{
	bool park = failure->park || attempts >= subscription->max_attempts;
	Datum values[9] = {PointerGetDatum(subscription->name),
					   PointerGetDatum(failed->stream_id),
					   Int32GetDatum(failed->partition),
					   Int64GetDatum(failure->position),
					   Int64GetDatum(failed->version),
					   Int32GetDatum(attempts),
					   BoolGetDatum(park),
					   failure->retry_after,
					   PointerGetDatum(failure->reason)};
	bool nulls[9] = {false};
	Datum error_values[3] = {values[0], values[2], values[8]};
	bool error_nulls[3] = {false, false, failure->reason == NULL};

	nulls[8] = failure->reason == NULL;
	sierra_query(subscription->store, &set_apart_query, values, nulls, false);
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
		report_not_out(subscription, failure->position);
	if (consumer != NULL)
		see_member(subscription, consumer, find_member(subscription, consumer).acknowledged);
	if (!holds(subscription, failed.partition, consumer))
		sierra_subscription_report_stale(subscription, consumer);
	parked = set_apart(subscription, failure, &failed,
					   check_handed_out(subscription, &failed, failure->position) + 1);
	sierra_query_end();
	return parked;
}
