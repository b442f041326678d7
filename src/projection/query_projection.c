/*
 * query_projection.c
 *		States of projections with all events that can be seen, handled or not.
 *
 * Everything is read with one snapshot: the state, how far the subscription is,
 * and the events above that.  State and progress are written by the same
 * transactions, so they agree.  The horizon of the store does not matter here:
 * it prevents that a cursor passes an event for ever, and no cursor is moved
 * here.  Events of an append in flight are seen by a later call.
 */
#include "postgres.h"

#include "aggregate/fold.h"
#include "base/stream_map.h"
#include "base/text.h"
#include "projection/batch.h"
#include "projection/query_projection.h"
#include "read/event_rows.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/subscription.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

/* The keys of this many events are evaluated at a time. */
#define KEY_BATCH_SIZE 1000

static const SierraQuery state_query = {
	"SELECT s.state, s.stream_version FROM %1$s.projection_states AS s"
	" WHERE s.projection OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2"
	" AND s.key OPERATOR(pg_catalog.=) $3",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

/* A sink that passes on events that are not handled yet. */
typedef struct PendingSink
{
	SierraSink base;
	const SierraSubscription *subscription;
	SierraSink *next;
} PendingSink;

static bool
is_pending(const SierraSubscription *subscription, TupleTableSlot *slot)
{
	int64 position = sierra_slot_int8(slot, Anum_events_global_position);
	SierraStreamSlot *found = NULL;
	int32 partition = sierra_slot_int4(slot, Anum_events_partition_id);

	if (!sierra_subscription_matches(subscription, slot))
		return false;
	if (subscription->diverted != NULL)
		found = sierra_streams_lookup(subscription->diverted,
									  sierra_slot_text(slot, Anum_events_stream_id));
	if (found != NULL)
	{
		const SierraDivertedStream *diverted = found->value;

		if (position <= diverted->position)
			return false;
		/* Above the position of a drained stream, the cursor decides. */
		if (!diverted->drained)
			return true;
	}
	return position > subscription->after[partition];
}

static bool
put_pending(SierraSink *base, TupleTableSlot *slot)
{
	PendingSink *sink = (PendingSink *) base;

	CHECK_FOR_INTERRUPTS();
	return !is_pending(sink->subscription, slot) || sink->next->put(sink->next, slot);
}

/*
 * How far the subscription is, as the projection's owner sees it; NULL for an
 * inline projection.
 */
static SierraSubscription *
load_progress(SierraProjection *projection, Oid event_type)
{
	SierraSubscription *subscription;

	sierra_projection_enter(projection, event_type);
	if (projection->subscription == NULL)
		subscription = NULL;
	else
	{
		subscription = sierra_subscription_load(projection->store, projection->subscription,
												sierra_query_begin(), true);
		sierra_subscription_load_diverted(subscription, true);
		sierra_query_end();
	}
	sierra_projection_leave(projection);
	return subscription;
}

/* The position up to which all events of the partition are handled. */
static int64
done_in_partition(const SierraSubscription *subscription, int partition)
{
	int64 done = subscription->after[partition];
	sierra_streams_iterator iterator;
	SierraStreamSlot *slot;

	if (subscription->diverted == NULL)
		return done;
	sierra_streams_start_iterate(subscription->diverted, &iterator);
	while ((slot = sierra_streams_iterate(subscription->diverted, &iterator)) != NULL)
		done = Min(done, ((SierraDivertedStream *) slot->value)->position);
	return done;
}

/* Reads events that are not handled yet: those of the stream that is the key, or all. */
static void
read_pending(const SierraProjection *projection, const SierraSubscription *subscription,
			 const text *key, int64 from_version, SierraEventRows *result)
{
	PendingSink sink = {.base = {put_pending}, .subscription = subscription, .next = result->sink};
	SierraRange range = {0, PG_INT64_MAX, false};

	if (projection->key == NULL)
	{
		range.from = from_version;
		sierra_read_stream(projection->store, key, range, &sink.base);
	}
	for (int i = 0; projection->key != NULL && i < projection->store->partitions; i++)
	{
		if (subscription->after[i] == SIERRA_NOT_READ)
			continue;
		range.from =
			sierra_locate_first_after(projection->store, i, done_in_partition(subscription, i));
		if (range.from != SIERRA_NONE)
			sierra_read_partition(projection->store, i, range, &sink.base);
	}
	sierra_event_rows_flush(result);
}

typedef struct Pending
{
	int64 position;
	Datum event;
} Pending;

static int
compare_pending(const void *a, const void *b)
{
	const Pending *left = a;
	const Pending *right = b;

	return left->position < right->position ? -1 : left->position > right->position;
}

/*
 * Keeps the events of the key, by position.  The memory of the others is freed
 * with their batch.
 */
static Pending *
keep_of_key(const SierraProjection *projection, const text *key, Tuplestorestate *rows, int *count)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "sierra_es pending", ALLOCSET_DEFAULT_SIZES);
	int room = 64;
	Pending *pending = palloc(sizeof(Pending) * room);
	SierraBatch batch;

	*count = 0;
	do
	{
		text **keys;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		sierra_batch_read(&batch, projection, rows, KEY_BATCH_SIZE);
		batch = sierra_batch_part(projection, &batch, 0, batch.count);
		keys = sierra_batch_keys(projection, &batch);
		MemoryContextSwitchTo(caller);
		for (int i = 0; i < batch.count; i++)
		{
			if (keys[i] == NULL || !sierra_text_equal(keys[i], key))
				continue;
			if (*count == room)
				pending = repalloc_huge(pending, sizeof(Pending) * (room *= 2));
			pending[*count].position = batch.positions[i];
			pending[(*count)++].event = PointerGetDatum(PG_DETOAST_DATUM_COPY(batch.events[i]));
		}
	} while (batch.count == KEY_BATCH_SIZE);
	MemoryContextDelete(context);
	qsort(pending, *count, sizeof(Pending), compare_pending);
	return pending;
}

static Datum
fold_pending(SierraProjection *projection, const text *key, Tuplestorestate *rows, Datum state,
			 bool *isnull)
{
	SierraFold fold;
	Pending *pending;
	int count;

	pending = keep_of_key(projection, key, rows, &count);
	sierra_fold_begin(&fold, projection->handler, projection->event_type, state, *isnull, DT_NOEND);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_fold_event(&fold, pending[i].event);
	}
	*isnull = fold.isnull;
	return fold.state;
}

/* The stored state, or the initial one; *from_version is the stream version after it. */
static Datum
find_state(const SierraProjection *projection, const text *key, int64 *from_version, bool *isnull)
{
	Datum values[3] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version),
					   PointerGetDatum(key)};
	MemoryContext context = sierra_query_begin();
	MemoryContext spi;
	Datum state = projection->initial;
	Datum version;
	bool version_null;

	*isnull = projection->initial_null;
	*from_version = 0;
	if (sierra_query(projection->store, &state_query, values, NULL, true) > 0)
	{
		state = sierra_query_value(0, 1, JSONBOID, isnull);
		version = sierra_query_value(0, 2, INT8OID, &version_null);
		*from_version = version_null ? 0 : DatumGetInt64(version) + 1;
		spi = MemoryContextSwitchTo(context);
		if (!*isnull)
			state = PointerGetDatum(PG_DETOAST_DATUM_COPY(state));
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	return state;
}

Datum
sierra_read_projection(SierraProjection *projection, text *key, Oid event_type, bool *isnull)
{
	SierraSubscription *subscription;
	Tuplestorestate *rows;
	SierraEventRows result;
	int64 from_version;
	Datum state;

	if (projection->kind == SIERRA_MANAGES)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("projection \"%s\" is a process manager", text_to_cstring(projection->name)),
				errdetail("Its handler would react to the events that wait."),
				errhint("Use estates(), after ewait_projection()."));
	if (projection->kind != SIERRA_FOLDS)
		ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("projection \"%s\" keeps no states", text_to_cstring(projection->name)),
				errdetail("Its handler %s is not a fold.", projection->procedure),
				errhint("Read what it writes, after ewait_projection()."));
	state = find_state(projection, key, &from_version, isnull);
	subscription = load_progress(projection, event_type);
	if (subscription == NULL)
		return state; /* inline: the appending transactions keep it up to date */

	rows = tuplestore_begin_heap(false, false, work_mem);
	sierra_event_rows_begin_in(&result, projection->store, rows, projection->desc, PG_INT64_MAX);
	read_pending(projection, subscription, key, from_version, &result);
	if (result.last_position != SIERRA_NONE)
	{
		sierra_projection_enter(projection, event_type);
		state = fold_pending(projection, key, rows, state, isnull);
		sierra_projection_leave(projection);
	}
	tuplestore_end(rows);
	return state;
}
