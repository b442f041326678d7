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

#include "read/locate.h"
#include "read/read_all.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/pending.h"
#include "subscription/subscription.h"

#include "access/xlog.h"
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
	int64 passed;			/* no event up to here is wanted */
} Known;

static HTAB *known = NULL;

/* What the session knows of a subscription; NULL if its name is longer than one can be. */
static Known *
recall(const SierraSubscription *subscription)
{
	HASHCTL ctl = {.keysize = sizeof(KnownKey), .entrysize = sizeof(Known)};
	KnownKey key = {0};
	Known *entry;
	bool found;

	if (VARSIZE_ANY_EXHDR(subscription->name) > SIERRA_NAME_MAX)
		return NULL;
	key.schema = subscription->store->schema;
	memcpy(key.name, VARDATA_ANY(subscription->name), VARSIZE_ANY_EXHDR(subscription->name));
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
	if (!found || entry->created_at != subscription->created_at)
		entry->passed = SIERRA_NONE;
	entry->created_at = subscription->created_at;
	return entry;
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
	TimestampTz at;
} FirstSink;

static bool
keep_first(SierraSink *base, TupleTableSlot *slot)
{
	FirstSink *sink = (FirstSink *) base;

	sink->found = true;
	sink->position = sierra_event_position(slot);
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

SierraPending
sierra_pending_find(const SierraStore *store, text *name, int partition, SierraTime give_up,
					TimestampTz *at)
{
	FirstSink sink = {.base = {keep_first}, .give_up = give_up};
	MemoryContext context;
	Known *entry = NULL;
	int64 end;

	if (RecoveryInProgress() || store->subscribed || sierra_store_has_row_security(store))
		return SIERRA_PENDING_UNKNOWN;
	context = sierra_query_begin();
	sink.subscription = sierra_subscription_load(store, name, context, true);
	sierra_subscription_load_diverted(sink.subscription, true);
	sierra_query_end();
	if (partition == SIERRA_WHOLE)
		entry = recall(sink.subscription);
	end = read_on(&sink, partition, entry != NULL ? entry->passed : SIERRA_NONE);
	if (entry != NULL)
		entry->passed = sink.found ? sink.position - 1 : Max(end, entry->passed);
	*at = sink.at;
	if (sink.found)
		return SIERRA_PENDING_FOUND;
	return sink.gave_up ? SIERRA_PENDING_UNKNOWN : SIERRA_PENDING_NONE;
}

int64
sierra_pending_count(const SierraStore *store, text *name, text *consumer)
{
	MemoryContext context;
	SierraSubscription *subscription;
	int64 count = 0;

	if (sierra_store_has_row_security(store))
		return -1;
	context = sierra_query_begin();
	subscription = sierra_subscription_load(store, name, context, true);
	if (consumer != NULL)
		sierra_subscription_load_leases(subscription, consumer);
	sierra_query_end();
	for (int i = 0; i < store->partitions; i++)
	{
		if (subscription->after[i] != SIERRA_NOT_READ)
			count += sierra_locate_count_after(store, i, subscription->after[i]);
	}
	return count;
}
