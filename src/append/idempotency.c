/*
 * idempotency.c
 *		Idempotency: is this append the repetition of an earlier one?
 *
 * An event with this id can be stored in three places: in the partition of its stream,
 * whose lock we hold; if a server generated the id, in the partition whose hash the id
 * contains; and if a client chose the id, in any partition, which event_ids then names.
 */
#include "postgres.h"

#include "append/hidden.h"
#include "append/idempotency.h"
#include "base/routing.h"
#include "store/durable.h"
#include "store/registry.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"

/*
 * One check.  It looks in each place for all ids of the call, so that the
 * tables and indexes of that place are opened once.  The call is refused for
 * the first event, in the order of the call, that is refused in any place.
 */
typedef struct Check
{
	SierraRoute *route;
	SierraAppendResult *results;
	bool *stored; /* by event: it is stored in its stream */
	int nstored;
	int refused; /* the first event that is refused, or the number of events */
	const char *reason;
} Check;

static void
refuse(Check *check, int i, const char *reason)
{
	check->refused = i;
	check->reason = reason;
}

/* Is this id to be looked for outside the partition of its stream? */
static bool
is_wanted(const Check *check, int i)
{
	return check->route->events[i].has_event_id && !check->stored[i];
}

static void
refuse_id_repeated_in_call(Check *check)
{
	const SierraRoute *route = check->route;
	HASHCTL ctl = {0};
	HTAB *seen;

	if (route->count == 1)
		return;
	ctl.keysize = ctl.entrysize = sizeof(pg_uuid_t);
	ctl.hcxt = CurrentMemoryContext;
	seen = hash_create("sierra_es ids of a call", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < route->count; i++)
	{
		bool found = false;

		CHECK_FOR_INTERRUPTS();
		if (route->events[i].has_event_id)
			(void) hash_search(seen, &route->events[i].event_id, HASH_ENTER, &found);
		if (found)
		{
			refuse(check, i, "The call has two events with this id.");
			break;
		}
	}
	hash_destroy(seen);
}

static void
read_results(TupleTableSlot *slot, SierraNewEvent *event, SierraAppendResult *results)
{
	pg_uuid_t *transaction_id = palloc(sizeof(pg_uuid_t));

	*transaction_id = *sierra_slot_uuid(slot, Anum_events_transaction_id);
	results->transaction_id = transaction_id;
	results->partition_sequence = sierra_slot_int8(slot, Anum_events_partition_sequence);
	results->stream_version = sierra_slot_int8(slot, Anum_events_stream_version);
	results->global_position = sierra_slot_int8(slot, Anum_events_global_position);
	event->timestamp = sierra_slot_int8(slot, Anum_events_timestamp);
}

/* Does this stored event follow the one before it in its stream, as in the call? */
static bool
follows_in_stream(SierraRouteStream *stream, int64 version)
{
	bool follows =
		stream->repeated_version == SIERRA_NONE || version == stream->repeated_version + 1;

	stream->repeated_version = version;
	return follows;
}

/* Reads an event that is stored in the partition of its stream, whose lock we hold. */
static void
check_stored(Check *check, int i, TupleTableSlot *slot)
{
	SierraNewEvent *event = &check->route->events[i];
	SierraAppendResult *results = &check->results[i];

	if (!sierra_slot_text_equal(slot, Anum_events_stream_id, event->stream_id))
	{
		refuse(check, i, "It is stored in another stream.");
		return;
	}
	read_results(slot, event, results);
	check->stored[i] = true;
	check->nstored++;
	if (!follows_in_stream(results->stream, results->stream_version))
		refuse(check, i,
			   "The events of the call are stored in another order, or with others between them.");
}

static void
look_in_own_partitions(Check *check)
{
	SierraRoute *route = check->route;

	for (int i = 0; i < check->refused; i++)
	{
		TupleTableSlot *slot;

		if (!route->events[i].has_event_id)
			continue;
		slot = sierra_append_partition_find_id(check->results[i].stream->target,
											   &route->events[i].event_id);
		if (slot != NULL)
			check_stored(check, i, slot);
	}
	for (int i = 0; i < route->npartitions; i++)
		sierra_append_partition_end_probes(&route->partitions[i]);
}

/* Looks in another partition for a list of events: first, then next[first], and so on. */
static void
look_in_partition(Check *check, int id, int first, const int *next)
{
	Relation rel = sierra_scan_open_partition(check->route->store, id, AccessShareLock);
	Relation index = sierra_scan_open_index(rel, SIERRA_INDEX_EVENT_ID);
	SnapshotData dirty;
	SierraScan scan;

	InitDirtySnapshot(dirty);
	sierra_scan_begin(&scan, rel, index, true, &dirty, 1);
	for (int i = first; i >= 0 && i < check->refused; i = next[i])
	{
		ScanKeyData key;

		sierra_scan_key_uuid(&key, 1, &check->route->events[i].event_id);
		if (sierra_scan_find_settled(&scan, &dirty, &key))
			refuse(check, i, "It is stored in another stream.");
	}
	sierra_scan_end(&scan);
	relation_close(rel, AccessShareLock);
}

/* An id that a server can have generated is looked for in the partition that it names. */
static void
look_in_other_partitions(Check *check)
{
	const SierraRoute *route = check->route;
	int partitions = route->store->partitions;
	int *first = palloc(sizeof(int) * partitions);
	int *next = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * route->count);

	for (int id = 0; id < partitions; id++)
		first[id] = -1;
	for (int i = check->refused - 1; i >= 0; i--)
	{
		int id = sierra_uuid_partition(&route->events[i].event_id, partitions);

		CHECK_FOR_INTERRUPTS();
		if (!is_wanted(check, i) || id == check->results[i].stream->partition ||
			!sierra_uuid_may_be_generated(&route->events[i].event_id))
			continue;
		next[i] = first[id];
		first[id] = i;
	}
	for (int id = 0; id < partitions; id++)
	{
		if (first[id] >= 0)
			look_in_partition(check, id, first[id], next);
	}
	pfree(first);
	pfree(next);
}

static void
look_in_registry(Check *check)
{
	SierraRegistryLookup ids = {.active = false};

	for (int i = 0; i < check->refused; i++)
	{
		if (!is_wanted(check, i))
			continue;
		if (!ids.active)
			sierra_registry_begin_ids(check->route->store, &ids);
		if (sierra_registry_has_id(&ids, &check->route->events[i].event_id))
			refuse(check, i, "It is stored in another stream.");
	}
	sierra_registry_end(&ids);
}

static bool
has_chosen_ids(const SierraRoute *route)
{
	for (int i = 0; i < route->count; i++)
	{
		if (route->events[i].has_event_id)
			return true;
	}
	return false;
}

static void
refuse_unless_all_are_stored(Check *check)
{
	int i = 0;

	if (check->nstored == 0 || check->nstored == check->route->count)
		return;
	while (!check->stored[i])
		i++;
	refuse(check, i, "It is stored in this stream, but not all events of the call are.");
}

SierraAppendStatus
sierra_idempotency_check(SierraRoute *route, SierraAppendResult *results, SierraRefusal *refusal)
{
	Check check = {.route = route, .results = results, .refused = route->count};
	SierraAppendStatus status = SIERRA_APPEND_DONE;

	if (!has_chosen_ids(route))
		return SIERRA_APPEND_DONE;

	check.stored = MemoryContextAllocExtended(CurrentMemoryContext, route->count,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	refuse_id_repeated_in_call(&check);
	if (check.refused == route->count)
	{
		look_in_own_partitions(&check);
		look_in_other_partitions(&check);
		look_in_registry(&check);
		if (check.refused == route->count)
			refuse_unless_all_are_stored(&check);
	}
	pfree(check.stored);

	if (check.refused == route->count && check.nstored == route->count &&
		sierra_hidden_repetition(route, results))
		refuse(&check, 0, "It is stored already.");

	if (check.refused < route->count)
	{
		refusal->event = &route->events[check.refused];
		refusal->event_id = refusal->event->event_id;
		refusal->reason = check.reason;
		return SIERRA_APPEND_DUPLICATE_EVENT;
	}
	if (check.nstored == route->count)
	{
		/* The first append may have committed asynchronously. */
		sierra_make_durable();
		status = SIERRA_APPEND_REPEATED;
	}
	return status;
}
