/*
 * subscription.c
 *		Durable subscriptions: what they want, how far they are.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/stream_map.h"
#include "read/read_all.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/subscription.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The class ("objsubid") of locks on a subscription; see partition_lock.c. */
#define SUBSCRIPTION_LOCK_CLASS 0x5E6

static const SierraQuery load_query = {
	"SELECT s.streams, s.event_names, s.tags, s.partitions, s.start_after, s.start_sequences,"
	" s.start_streams, s.start_versions, s.window_size,"
	" pg_catalog.date_part('epoch', s.lease_time), s.max_attempts,"
	" EXISTS (SELECT FROM %1$s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) s.subscription), s.created_at"
	" FROM %1$s.subscriptions AS s WHERE s.subscription OPERATOR(pg_catalog.=) $1",
	1,
	{TEXTOID}};

static const SierraQuery cursors_query = {
	"SELECT c.partition_id, c.cursor FROM %1$s.subscription_cursors AS c"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1",
	1,
	{TEXTOID}};

static const SierraQuery leases_query = {
	"SELECT c.partition_id, c.cursor FROM %1$s.subscription_cursors AS c"
	" WHERE c.subscription OPERATOR(pg_catalog.=) $1"
	" AND c.consumer OPERATOR(pg_catalog.=) $2",
	2,
	{TEXTOID, TEXTOID}};

static const SierraQuery diverted_query = {
	"SELECT t.stream_id, t.state OPERATOR(pg_catalog.=) 'drained', t.position"
	" FROM %1$s.subscription_streams AS t WHERE t.subscription OPERATOR(pg_catalog.=) $1",
	1,
	{TEXTOID}};

static void
set_lock_tag(LOCKTAG *tag, const SierraStore *store, const text *name, const text *consumer)
{
	uint32 hash = hash_bytes((const unsigned char *) VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	/* No consumer gets another hash than a consumer with the empty name. */
	if (consumer != NULL)
		hash = hash_combine(hash + 1, hash_bytes((const unsigned char *) VARDATA_ANY(consumer),
												 VARSIZE_ANY_EXHDR(consumer)));
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, store->events, hash, SUBSCRIPTION_LOCK_CLASS);
}

bool
sierra_subscription_lock(const SierraStore *store, const text *name, const text *consumer)
{
	LOCKTAG tag;

	set_lock_tag(&tag, store, name, consumer);
	return LockAcquire(&tag, ExclusiveLock, false, false) != LOCKACQUIRE_ALREADY_HELD;
}

void
sierra_subscription_unlock(const SierraStore *store, const text *name, const text *consumer)
{
	LOCKTAG tag;

	set_lock_tag(&tag, store, name, consumer);
	LockRelease(&tag, ExclusiveLock, false);
}

bool
sierra_subscription_is_internal(const text *name)
{
	int prefix = strlen(SIERRA_PROJECTION_PREFIX);

	return VARSIZE_ANY_EXHDR(name) >= prefix &&
		   memcmp(VARDATA_ANY(name), SIERRA_PROJECTION_PREFIX, prefix) == 0;
}

static void
report_missing(const SierraStore *store, const text *name)
{
	ereport(
		ERROR, errcode(ERRCODE_SIERRA_NO_SUBSCRIPTION),
		errmsg("no subscription \"%s\"", text_to_cstring(name)),
		errdetail("Store \"%s\" has no subscription of this name.", NameStr(store->name)),
		sierra_subscription_is_internal(name)
			? errhint(
				  "It was that of a projection.  Drop the projection with drop_projection(), and "
				  "create it again.")
			: errhint("Make it with esub() or epsub(); event_subscriptions() lists them."));
}

void
sierra_subscription_report_stale(const SierraSubscription *subscription, const text *consumer)
{
	ereport(
		ERROR, errcode(ERRCODE_SIERRA_STALE_LEASE),
		errmsg("consumer \"%s\" holds no lease on subscription \"%s\"", text_to_cstring(consumer),
			   text_to_cstring(subscription->name)),
		errdetail("It is not in the group, was not seen for the lease time, left, or does not hold "
				  "the partition."),
		errhint("Drop what was not acknowledged and call enext(): it joins the group again."));
}

void
sierra_subscription_report_not_stored(const SierraSubscription *subscription)
{
	ereport(ERROR, errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			errmsg("the progress of subscription \"%s\" was not stored",
				   text_to_cstring(subscription->name)),
			errdetail("A trigger, rule or policy of a table of store \"%s\" suppressed it.",
					  NameStr(subscription->store->name)),
			errhint("Let the trigger raise an error instead."));
}

void
sierra_subscription_report_grouped(const SierraSubscription *subscription)
{
	ereport(
		ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		errmsg("subscription \"%s\" is consumed by a group", text_to_cstring(subscription->name)),
		errdetail("Its partitions are leased to consumers."),
		errhint("Name the consumer with consumer => '...'."));
}

/* The elements of an array column; false if it is null. */
static bool
get_array(int column, Oid array_type, Datum **values, bool **nulls, int *count)
{
	bool isnull;
	Datum array = sierra_query_value(0, column, array_type, &isnull);
	Oid type = get_element_type(array_type);
	int16 length;
	bool by_value;
	char align;

	if (isnull)
		return false;
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(DatumGetArrayTypePCopy(array), type, length, by_value, align, values, nulls,
					  count);
	return true;
}

static bool *
get_wanted(int column, int partitions)
{
	bool *wanted = palloc0(sizeof(bool) * partitions);
	Datum *values;
	bool *nulls;
	int count;

	if (!get_array(column, INT4ARRAYOID, &values, &nulls, &count))
	{
		memset(wanted, true, sizeof(bool) * partitions);
		return wanted;
	}
	for (int i = 0; i < count; i++)
	{
		int32 partition = nulls[i] ? -1 : DatumGetInt32(values[i]);

		if (partition >= 0 && partition < partitions)
			wanted[partition] = true;
	}
	return wanted;
}

static int64 *
get_start_sequences(int column, int partitions)
{
	int64 *sequences;
	Datum *values;
	bool *nulls;
	int count;

	if (!get_array(column, INT8ARRAYOID, &values, &nulls, &count))
		return NULL;
	sequences = palloc(sizeof(int64) * partitions);
	for (int i = 0; i < partitions; i++)
		sequences[i] = i < count && !nulls[i] ? DatumGetInt64(values[i]) : SIERRA_NONE;
	return sequences;
}

static sierra_streams_hash *
get_start_versions(int streams_column, int versions_column)
{
	Datum *streams;
	Datum *versions;
	bool *no_stream;
	bool *no_version;
	int nstreams;
	int nversions;
	sierra_streams_hash *map;

	if (!get_array(streams_column, TEXTARRAYOID, &streams, &no_stream, &nstreams) ||
		!get_array(versions_column, INT8ARRAYOID, &versions, &no_version, &nversions))
		return NULL;
	map = sierra_streams_create(CurrentMemoryContext, Max(nstreams, 1), NULL);
	for (int i = 0; i < Min(nstreams, nversions); i++)
	{
		bool found;
		int64 *version;

		if (no_stream[i] || no_version[i])
			continue;
		version = palloc(sizeof(int64));
		*version = DatumGetInt64(versions[i]);
		sierra_streams_insert(map, DatumGetTextPP(streams[i]), &found)->value = version;
	}
	return map;
}

/*
 * Results of SPI are in a context of its own; what is kept is copied into the
 * caller's context.
 */
static SierraSubscription *
get_subscription(const SierraStore *store, text *name)
{
	SierraSubscription *subscription = palloc0(sizeof(SierraSubscription));

	subscription->store = store;
	subscription->name = name;
	subscription->streams = sierra_filter_of_column(1, "streams");
	subscription->event_names = sierra_filter_of_column(2, "event_names");
	subscription->tags = sierra_filter_of_column(3, "tags");
	subscription->wanted = get_wanted(4, store->partitions);
	subscription->start_after = sierra_query_int8(0, 5);
	subscription->start_sequences = get_start_sequences(6, store->partitions);
	subscription->start_versions = get_start_versions(7, 8);
	subscription->window = sierra_query_int4(0, 9);
	subscription->lease_msecs =
		(int64) (DatumGetFloat8(sierra_query_required(0, 10, FLOAT8OID)) * 1000.0);
	subscription->max_attempts = sierra_query_int4(0, 11);
	subscription->has_diverted = sierra_query_bool(0, 12);
	subscription->created_at = sierra_query_timestamptz(0, 13);
	return subscription;
}

/* Takes cursors from the rows of a query with the columns partition and cursor. */
static void
get_cursors(SierraSubscription *subscription, uint64 rows)
{
	int partitions = subscription->store->partitions;

	for (int i = 0; i < partitions; i++)
		subscription->after[i] = SIERRA_NOT_READ;
	subscription->cursor = SIERRA_NOT_READ;
	subscription->grouped = true;
	for (uint64 row = 0; row < rows; row++)
	{
		int32 partition = sierra_query_int4(row, 1);
		int64 cursor = sierra_query_int8(row, 2);

		subscription->cursor = Min(subscription->cursor, cursor);
		if (partition == SIERRA_WHOLE)
			subscription->grouped = false;
		for (int i = 0; i < partitions; i++)
		{
			if ((partition == i || partition == SIERRA_WHOLE) && subscription->wanted[i])
				subscription->after[i] = cursor;
		}
	}
}

SierraSubscription *
sierra_subscription_load(const SierraStore *store, text *name, MemoryContext context,
						 bool read_only)
{
	MemoryContext spi;
	Datum values[1] = {PointerGetDatum(name)};
	SierraSubscription *subscription;

	(void) sierra_store_table(store, "subscriptions");
	if (sierra_query(store, &load_query, values, NULL, read_only) == 0)
		report_missing(store, name);
	spi = MemoryContextSwitchTo(context);
	subscription = get_subscription(store, name);
	subscription->context = context;
	subscription->after = palloc(sizeof(int64) * store->partitions);
	MemoryContextSwitchTo(spi);
	get_cursors(subscription, sierra_query(store, &cursors_query, values, NULL, read_only));
	return subscription;
}

void
sierra_subscription_load_leases(SierraSubscription *subscription, text *consumer)
{
	Datum values[2] = {PointerGetDatum(subscription->name), PointerGetDatum(consumer)};

	subscription->consumer = consumer;
	get_cursors(subscription,
				sierra_query(subscription->store, &leases_query, values, NULL, false));
}

void
sierra_subscription_load_diverted(SierraSubscription *subscription, bool read_only)
{
	Datum values[1] = {PointerGetDatum(subscription->name)};
	MemoryContext spi;
	uint64 rows;

	if (!subscription->has_diverted)
		return;
	rows = sierra_query(subscription->store, &diverted_query, values, NULL, read_only);
	spi = MemoryContextSwitchTo(subscription->context);
	subscription->diverted = sierra_streams_create(CurrentMemoryContext, Max(rows, 1), NULL);
	for (uint64 row = 0; row < rows; row++)
	{
		SierraDivertedStream *diverted = palloc(sizeof(SierraDivertedStream));
		bool found;
		text *stream_id = DatumGetTextPCopy(sierra_query_required(row, 1, TEXTOID));

		diverted->drained = sierra_query_bool(row, 2);
		diverted->position = sierra_query_int8(row, 3);
		sierra_streams_insert(subscription->diverted, stream_id, &found)->value = diverted;
	}
	MemoryContextSwitchTo(spi);
}

/*
 * Is the event not before the start of the subscription?  A start of its stream
 * counts first, then one of its partition, then the one of the whole
 * subscription.
 */
static bool
is_after_start(const SierraSubscription *subscription, TupleTableSlot *slot, const text *stream_id)
{
	int32 partition;

	if (subscription->start_versions != NULL)
	{
		SierraStreamSlot *start = sierra_streams_lookup(subscription->start_versions, stream_id);

		if (start != NULL)
			return sierra_slot_int8(slot, Anum_events_stream_version) >= *(int64 *) start->value;
	}
	partition = sierra_slot_int4(slot, Anum_events_partition_id);
	if (subscription->start_sequences != NULL &&
		subscription->start_sequences[partition] != SIERRA_NONE)
		return sierra_event_sequence(slot) >= subscription->start_sequences[partition];
	return sierra_event_position(slot) > subscription->start_after;
}

bool
sierra_subscription_wants(void *arg, TupleTableSlot *slot)
{
	const SierraSubscription *subscription = arg;
	SierraStreamSlot *found;
	text *stream_id;

	if (subscription->start_versions == NULL && subscription->start_sequences == NULL &&
		subscription->diverted == NULL)
		return sierra_event_position(slot) > subscription->start_after;
	stream_id = sierra_slot_text(slot, Anum_events_stream_id);
	if (!is_after_start(subscription, slot, stream_id))
		return false;
	if (subscription->diverted == NULL)
		return true;
	found = sierra_streams_lookup(subscription->diverted, stream_id);
	if (found != NULL)
	{
		const SierraDivertedStream *diverted = found->value;

		return diverted->drained && sierra_event_position(slot) > diverted->position;
	}
	return true;
}

bool
sierra_subscription_matches(const SierraSubscription *subscription, TupleTableSlot *slot)
{
	int32 partition = sierra_slot_int4(slot, Anum_events_partition_id);

	return subscription->wanted[partition] &&
		   sierra_filter_passes(&subscription->streams, &subscription->event_names, slot) &&
		   sierra_filter_passes_tags(&subscription->tags, slot) &&
		   is_after_start(subscription, slot, sierra_slot_text(slot, Anum_events_stream_id));
}
