/*
 * idempotency.c
 *		Idempotency: is this call the repetition of an earlier one?
 *
 * An event with this id can be in the partition to which the id leads
 * (sierra_uuid_leads_to()); otherwise event_ids names its partition.
 *
 * Each place is looked through for all ids of a round of calls at once, so that its tables
 * and indexes are opened once.  Then each call is judged by itself.
 *
 * Two sessions can append events with one id at the same moment.  To the same partition, one
 * comes after the other because of its lock.  If both ids are registered, the primary key of
 * event_ids decides.  Otherwise the id of one session leads to its partition, and the other
 * session registers it.  So each of them, after it has written its own, looks once more where
 * the other one writes (sierra_idempotency_confirm()).  At least one finds the other.
 */
#include "postgres.h"

#include "append/hidden.h"
#include "append/idempotency.h"
#include "base/routing.h"
#include "store/registry.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"

/* Where the id of an event was found. */
enum
{
	NOT_STORED,
	STORED,			  /* in the stream of the event */
	STORED_ELSEWHERE, /* in another stream */
	LEFT_OUT		  /* does not matter any more, as its call writes nothing */
};

/* The events whose ids are looked for. */
typedef struct Look
{
	SierraRoute *route;
	int first;
	int end;
} Look;

/* The newest call with this id. */
typedef struct IdSeen
{
	pg_uuid_t id;
	int call;
} IdSeen;

static bool
has_chosen_ids(const SierraRoute *route, int first, int end)
{
	for (int i = first; i < end; i++)
	{
		if (route->events[i].has_event_id)
			return true;
	}
	return false;
}

HTAB *
sierra_idempotency_begin(const SierraRoute *route)
{
	HASHCTL ctl = {0};

	if (route->count == 1 || !has_chosen_ids(route, 0, route->count))
		return NULL;
	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(IdSeen);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("sierra_es ids of calls", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool
sierra_idempotency_note(const SierraRoute *route, HTAB *seen, int c, int since)
{
	SierraAppendCall *call = &route->calls[c];
	bool is_in_other = false;

	call->repeated = -1;
	for (int i = call->first; i < call->first + call->count && seen != NULL; i++)
	{
		bool found;
		IdSeen *entry;

		CHECK_FOR_INTERRUPTS();
		if (!route->events[i].has_event_id)
			continue;
		entry = hash_search(seen, &route->events[i].event_id, HASH_ENTER, &found);
		if (found && entry->call == c && call->repeated < 0)
			call->repeated = i;
		else if (found && entry->call >= since && entry->call < c)
			is_in_other = true;
		entry->call = c;
	}
	return is_in_other;
}

static void
read_results(const SierraRoute *route, TupleTableSlot *slot, SierraNewEvent *event,
			 SierraAppendResult *results)
{
	pg_uuid_t *transaction_id = MemoryContextAlloc(route->memory, sizeof(pg_uuid_t));

	*transaction_id = *sierra_slot_uuid(slot, Anum_events_transaction_id);
	results->transaction_id = transaction_id;
	results->partition_sequence = sierra_slot_int8(slot, Anum_events_partition_sequence);
	results->stream_version = sierra_slot_int8(slot, Anum_events_stream_version);
	results->global_position = sierra_slot_int8(slot, Anum_events_global_position);
	event->timestamp = sierra_slot_int8(slot, Anum_events_timestamp);
}

/* Does the id of this event lead to the partition of its stream? */
static bool
leads_home(const SierraRoute *route, int i)
{
	return sierra_uuid_leads_to(&route->events[i].event_id, route->results[i].stream->partition,
								route->store->partitions);
}

/* Is this id to be looked for? */
static bool
is_wanted(const Look *look, int i)
{
	return look->route->events[i].has_event_id && look->route->stored[i] == NOT_STORED;
}

/* The event is stored in the partition of its stream, whose lock we hold. */
static void
note_stored(const Look *look, int i, TupleTableSlot *slot)
{
	SierraNewEvent *event = &look->route->events[i];

	if (!sierra_slot_text_equal(slot, Anum_events_stream_id, event->stream_id))
	{
		look->route->stored[i] = STORED_ELSEWHERE;
		return;
	}
	look->route->stored[i] = STORED;
	read_results(look->route, slot, event, &look->route->results[i]);
}

/* An id that does not lead there is in the partition of its stream only if it is registered. */
static void
look_in_own_partitions(const Look *look)
{
	SierraRoute *route = look->route;

	for (int i = look->first; i < look->end; i++)
	{
		TupleTableSlot *slot;

		if (!route->events[i].has_event_id ||
			(route->stored[i] == NOT_STORED && !leads_home(route, i)))
			continue;
		slot = sierra_append_partition_find_id(route->results[i].stream->target,
											   &route->events[i].event_id);
		if (slot != NULL)
			note_stored(look, i, slot);
	}
	for (int i = 0; i < route->npartitions; i++)
		sierra_append_partition_end_probes(&route->partitions[i]);
}

/* Looks in another partition for a list of events: first, then next[first], and so on. */
static void
look_in_partition(const Look *look, int id, int first, const int *next)
{
	Relation rel = sierra_scan_open_partition(look->route->store, id, AccessShareLock);
	Relation index = sierra_scan_open_index(rel, SIERRA_INDEX_EVENT_ID);
	SnapshotData dirty;
	SierraScan scan;

	InitDirtySnapshot(dirty);
	sierra_scan_begin(&scan, rel, index, true, &dirty, 1);
	for (int i = first; i >= 0; i = next[i - look->first])
	{
		ScanKeyData key;

		sierra_scan_key_uuid(&key, 1, &look->route->events[i].event_id);
		if (sierra_scan_find_settled(&scan, &dirty, &key))
			look->route->stored[i] = STORED_ELSEWHERE;
	}
	sierra_scan_end(&scan);
	relation_close(rel, AccessShareLock);
}

/* Does this wanted id lead to another partition than that of its stream? */
static bool
leads_elsewhere(const Look *look, int i)
{
	return is_wanted(look, i) && !leads_home(look->route, i) &&
		   sierra_uuid_may_be_generated(&look->route->events[i].event_id);
}

/* Looks where ids lead, by partition. */
static void
look_by_partition(const Look *look)
{
	const SierraRoute *route = look->route;
	int partitions = route->store->partitions;
	int *first = palloc(sizeof(int) * partitions);
	int *next =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (look->end - look->first));

	for (int id = 0; id < partitions; id++)
		first[id] = -1;
	for (int i = look->end - 1; i >= look->first; i--)
	{
		int id = sierra_uuid_partition(&route->events[i].event_id, partitions);

		CHECK_FOR_INTERRUPTS();
		if (!leads_elsewhere(look, i))
			continue;
		next[i - look->first] = first[id];
		first[id] = i;
	}
	for (int id = 0; id < partitions; id++)
	{
		if (first[id] >= 0)
			look_in_partition(look, id, first[id], next);
	}
	pfree(first);
	pfree(next);
}

/* An id that leads to another partition than that of its stream is looked for there. */
static void
look_in_other_partitions(const Look *look)
{
	for (int i = look->first; i < look->end; i++)
	{
		if (!leads_elsewhere(look, i))
			continue;
		look_by_partition(look);
		return;
	}
}

/* Looks for all ids, or only for those that do not have to be registered. */
static void
look_in_registry(const Look *look, bool all)
{
	SierraRegistryLookup ids = {.active = false};

	for (int i = look->first; i < look->end; i++)
	{
		if (!is_wanted(look, i) || (!all && !leads_home(look->route, i)))
			continue;
		if (!ids.active)
			sierra_registry_begin_ids(look->route->store, &ids);
		if (sierra_registry_has_id(&ids, &look->route->events[i].event_id))
			look->route->stored[i] = STORED_ELSEWHERE;
	}
	sierra_registry_end(&ids);
}

void
sierra_idempotency_look(SierraRoute *route, int first, int end)
{
	Look look = {.route = route, .first = first, .end = end};

	if (!has_chosen_ids(route, first, end))
		return;
	if (route->stored == NULL)
		route->stored = MemoryContextAllocExtended(route->memory, route->count,
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	look_in_registry(&look, true);
	look_in_own_partitions(&look);
	look_in_other_partitions(&look);
}

bool
sierra_idempotency_must_register(const SierraRoute *route, int i)
{
	return route->events[i].has_event_id && !leads_home(route, i);
}

void
sierra_idempotency_confirm(SierraRoute *route, int first, int end)
{
	const SierraAppendCall *last = &route->calls[end - 1];
	Look look = {
		.route = route, .first = route->calls[first].first, .end = last->first + last->count};

	if (!has_chosen_ids(route, look.first, look.end))
		return;
	for (int c = first; c < end; c++)
	{
		if (route->calls[c].status != SIERRA_APPEND_DONE)
			memset(route->stored + route->calls[c].first, LEFT_OUT, route->calls[c].count);
	}
	look_in_registry(&look, false);
	look_in_other_partitions(&look);
	for (int i = look.first; i < look.end; i++)
	{
		if (route->stored[i] == STORED_ELSEWHERE)
			sierra_registry_report_taken(&route->events[i].event_id);
	}
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

static SierraAppendStatus
refuse(SierraRoute *route, SierraAppendCall *call, int i, const char *reason)
{
	call->refusal.event = &route->events[i];
	call->refusal.event_id = route->events[i].event_id;
	call->refusal.reason = reason;
	return SIERRA_APPEND_DUPLICATE_EVENT;
}

/* At least one event of the call is stored. */
static SierraAppendStatus
judge_stored(SierraRoute *route, SierraAppendCall *call)
{
	int end = call->first + call->count;
	int nstored = 0;
	int first_stored = -1;

	for (int i = call->first; i < end; i++)
		route->results[i].stream->repeated_version = SIERRA_NONE;
	for (int i = call->first; i < end; i++)
	{
		const SierraAppendResult *result = &route->results[i];

		CHECK_FOR_INTERRUPTS();
		if (route->stored[i] == STORED_ELSEWHERE)
			return refuse(route, call, i, "It is stored in another stream.");
		if (route->stored[i] == NOT_STORED)
			continue;
		if (!follows_in_stream(result->stream, result->stream_version))
			return refuse(route, call, i,
						  "The events of the call are stored in another order, or with others "
						  "between them.");
		if (nstored++ == 0)
			first_stored = i;
	}
	if (nstored < call->count)
		return refuse(route, call, first_stored,
					  "It is stored in this stream, but not all events of the call are.");
	if (sierra_hidden_repetition(route, call))
		return refuse(route, call, call->first, "It is stored already.");
	return SIERRA_APPEND_REPEATED;
}

SierraAppendStatus
sierra_idempotency_judge(SierraRoute *route, SierraAppendCall *call)
{
	if (call->repeated >= 0)
		return refuse(route, call, call->repeated, "The call has two events with this id.");
	for (int i = call->first; i < call->first + call->count && route->stored != NULL; i++)
	{
		if (route->stored[i] != NOT_STORED)
			return judge_stored(route, call);
	}
	return SIERRA_APPEND_DONE;
}
