/*
 * pending.c
 *		The oldest event that a subscription has still to process, for those that watch it.
 *
 * A consumer moves the cursor over events that its subscription does not want, but only when
 * it asks for events.  So a subscription that nobody consumes can have any number of them
 * behind its cursor.  A monitor that asks every few seconds must not read all of them each
 * time: the session remembers up to which position no event is wanted.
 */
#include "postgres.h"

#include "base/stream_map.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/pending.h"
#include "subscription/subscription.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* How many subscriptions a session remembers. */
#define KNOWN_MAX 10000

typedef struct KnownKey
{
	Oid schema;
	char name[SIERRA_NAME_MAX + 1];
} KnownKey;

typedef struct Known
{
	KnownKey key;
	TimestampTz created_at; /* of the subscription: another one can have the same name later */
	SierraPendingMemo memo;
} Known;

static HTAB *known = NULL;
static uint64 looks = 0;

/* NULL if the name is longer than one can be. */
SierraPendingMemo *
sierra_pending_recall(const SierraStore *store, const text *name, TimestampTz created_at)
{
	HASHCTL ctl = {.keysize = sizeof(KnownKey), .entrysize = sizeof(Known)};
	KnownKey key = {0};
	Known *entry;
	bool found;

	if (VARSIZE_ANY_EXHDR(name) > SIERRA_NAME_MAX)
		return NULL;
	key.schema = store->schema;
	memcpy(key.name, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	if (known != NULL && hash_get_num_entries(known) >= KNOWN_MAX)
	{
		hash_destroy(known);
		known = NULL;
	}
	if (known == NULL)
	{
		ctl.hcxt = TopMemoryContext;
		known = hash_create("sierra_es pending events", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(known, &key, HASH_ENTER, &found);
	if (!found || entry->created_at != created_at)
		entry->memo = (SierraPendingMemo){.passed = SIERRA_NONE, .position = SIERRA_NONE};
	entry->created_at = created_at;
	return &entry->memo;
}

/* Events of a stream that is diverted no more are wanted again. */
static uint32
hash_of_diverted(const SierraSubscription *subscription)
{
	sierra_streams_iterator iterator;
	SierraStreamSlot *slot;
	uint32 hash = 0;

	if (subscription->diverted == NULL)
		return 0;
	sierra_streams_start_iterate(subscription->diverted, &iterator);
	while ((slot = sierra_streams_iterate(subscription->diverted, &iterator)) != NULL)
	{
		const SierraDivertedStream *diverted = slot->value;
		int64 place = diverted->drained ? diverted->position : SIERRA_NONE;

		hash += hash_combine(sierra_stream_hash(slot->stream_id),
							 hash_bytes((unsigned char *) &place, sizeof(place)));
	}
	return hash + 1;
}

static SierraPendingMemo *
recall(const SierraSubscription *subscription)
{
	SierraPendingMemo *memo =
		sierra_pending_recall(subscription->store, subscription->name, subscription->created_at);
	uint32 diverted = hash_of_diverted(subscription);

	if (memo != NULL && memo->diverted != diverted)
		memo->passed = SIERRA_NONE;
	if (memo != NULL)
		memo->diverted = diverted;
	return memo;
}

/* A sink that keeps the first event that it gets. */
typedef struct FirstSink
{
	SierraSink base;
	SierraSubscription *subscription;
	SierraTime give_up;
	bool gave_up;
	bool found;
	int64 position;
	int32 partition;
	TimestampTz at;
} FirstSink;

static bool
keep_first(SierraSink *base, TupleTableSlot *slot)
{
	FirstSink *sink = (FirstSink *) base;

	sink->found = true;
	sink->position = sierra_event_position(slot);
	sink->partition = sierra_slot_int4(slot, Anum_events_partition_id);
	sink->at = sierra_slot_int8(slot, Anum_events_timestamp);
	return false;
}

static bool
wants(void *arg, TupleTableSlot *slot)
{
	return sierra_subscription_wants(((FirstSink *) arg)->subscription, slot);
}

static bool
goes_on(void *arg)
{
	FirstSink *sink = arg;

	sink->gave_up = sierra_now() >= sink->give_up;
	return !sink->gave_up;
}

/* Reads on from the cursors, but not what is known to be passed; returns how far it came. */
static int64
read_on(FirstSink *sink, int partition, int64 passed)
{
	SierraSubscription *subscription = sink->subscription;
	SierraReadAll request = {.after = SIERRA_NONE,
							 .streams = subscription->streams,
							 .event_names = subscription->event_names,
							 .tags = subscription->tags,
							 .expected_rows = 1,
							 .after_by_partition = subscription->after,
							 .wants = wants,
							 .goes_on = goes_on,
							 .arg = sink};

	for (int i = 0; i < subscription->store->partitions; i++)
	{
		if (partition != SIERRA_WHOLE && partition != i)
			subscription->after[i] = SIERRA_NOT_READ;
		if (subscription->after[i] != SIERRA_NOT_READ)
			subscription->after[i] = Max(subscription->after[i], passed);
	}
	return sierra_read_all(subscription->store, &request, &sink->base);
}

static void
remember(SierraPendingMemo *memo, const FirstSink *sink, int64 end)
{
	memo->look = ++looks;
	memo->passed = sink->found ? sink->position - 1 : Max(end, memo->passed);
	memo->position = sink->found ? sink->position : SIERRA_NONE;
	memo->partition = sink->partition;
	memo->at = sink->at;
}

static const SierraQuery due_query = {
	"SELECT t.stream_id, t.version FROM %1$s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) $1"
	" AND (t.state OPERATOR(pg_catalog.=) 'draining' OR t.state OPERATOR(pg_catalog.=) 'retrying'"
	" AND t.retry_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"
	" AND ($2 OPERATOR(pg_catalog.<) 0 OR t.partition_id OPERATOR(pg_catalog.=) $2)"
	" ORDER BY t.position LIMIT 100",
	2,
	{TEXTOID, INT4OID}};

/* A sink for the events of one stream, until one is wanted. */
typedef struct DueSink
{
	SierraSink base;
	const SierraSubscription *subscription;
	SierraTime give_up;
	int64 unwanted;
	SierraPending found;
	TimestampTz at; /* the lowest of all streams */
} DueSink;

static bool
keep_oldest(SierraSink *base, TupleTableSlot *slot)
{
	DueSink *sink = (DueSink *) base;
	TimestampTz at;

	if (!sierra_subscription_matches(sink->subscription, slot))
	{
		if (++sink->unwanted % SIERRA_ASK_EVERY != 0 || sierra_now() < sink->give_up)
			return true;
		if (sink->found == SIERRA_PENDING_NONE)
			sink->found = SIERRA_PENDING_UNKNOWN;
		return false;
	}
	at = sierra_slot_int8(slot, Anum_events_timestamp);
	if (sink->found != SIERRA_PENDING_FOUND || at < sink->at)
		sink->at = at;
	sink->found = SIERRA_PENDING_FOUND;
	return false;
}

static SierraPending
find_due(const SierraSubscription *subscription, int partition, SierraTime give_up, TimestampTz *at)
{
	DueSink sink = {.base = {keep_oldest},
					.subscription = subscription,
					.give_up = give_up,
					.found = SIERRA_PENDING_NONE};
	Datum values[] = {PointerGetDatum(subscription->name), Int32GetDatum(partition)};
	MemoryContext context;
	uint64 rows;

	if (!subscription->has_diverted)
		return SIERRA_PENDING_NONE;
	context = sierra_query_begin();
	rows = sierra_query(subscription->store, &due_query, values, NULL, true);
	for (uint64 row = 0; row < rows; row++)
	{
		SierraRange range = {sierra_query_int8(row, 2) + 1, PG_INT64_MAX, false};
		text *stream_id = sierra_query_text(row, 1);
		MemoryContext spi = MemoryContextSwitchTo(context);

		sierra_read_stream(subscription->store, stream_id, range, &sink.base);
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	*at = sink.at;
	return sink.found;
}

SierraPending
sierra_pending_find_due(const SierraStore *store, text *name, int partition, SierraTime give_up,
						TimestampTz *at)
{
	SierraSubscription *subscription;
	MemoryContext context;

	if (sierra_store_has_row_security(store))
		return SIERRA_PENDING_UNKNOWN;
	context = sierra_query_begin();
	subscription = sierra_subscription_load(store, name, context, true);
	sierra_query_end();
	return find_due(subscription, partition, give_up, at);
}

SierraPending
sierra_pending_find(const SierraStore *store, text *name, int partition, SierraTime give_up,
					TimestampTz *at)
{
	FirstSink sink = {.base = {keep_first}, .give_up = give_up};
	MemoryContext context;
	SierraPendingMemo *memo = NULL;
	SierraPending due;
	TimestampTz due_at;
	int64 end;

	if (RecoveryInProgress() || store->subscribed || sierra_store_has_row_security(store))
		return SIERRA_PENDING_UNKNOWN;
	context = sierra_query_begin();
	sink.subscription = sierra_subscription_load(store, name, context, true);
	sierra_subscription_load_diverted(sink.subscription, true);
	sierra_query_end();
	if (partition == SIERRA_WHOLE)
		memo = recall(sink.subscription);
	end = read_on(&sink, partition, memo != NULL ? memo->passed : SIERRA_NONE);
	if (memo != NULL)
		remember(memo, &sink, end);
	*at = sink.at;
	due = find_due(sink.subscription, partition, give_up, &due_at);
	if (due == SIERRA_PENDING_FOUND && (!sink.found || due_at < sink.at))
		*at = due_at;
	if (sink.found || due == SIERRA_PENDING_FOUND)
		return SIERRA_PENDING_FOUND;
	return sink.gave_up ? SIERRA_PENDING_UNKNOWN : due;
}

int64
sierra_pending_count(const SierraStore *store, text *name)
{
	MemoryContext context;
	SierraSubscription *subscription;
	int64 count = 0;

	if (sierra_store_has_row_security(store))
		return -1;
	context = sierra_query_begin();
	subscription = sierra_subscription_load(store, name, context, true);
	sierra_query_end();
	for (int i = 0; i < store->partitions; i++)
	{
		if (subscription->after[i] != SIERRA_NOT_READ)
			count += sierra_locate_count_after(store, i, subscription->after[i]);
	}
	return count;
}
