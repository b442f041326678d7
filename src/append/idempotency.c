/*
 * idempotency.c
 *		Idempotency: is this append the repetition of an earlier one?
 *
 * An event with this id can be stored in three places: in the partition of its stream,
 * whose lock we hold; if a server generated the id, in the partition whose hash the id
 * contains; and if a client chose the id, in any partition, which event_ids then names.
 */
#include "postgres.h"

#include "append/idempotency.h"
#include "base/routing.h"
#include "store/durable.h"
#include "store/registry.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"

static SierraAppendStatus
refuse_id(const SierraNewEvent *event, const char *reason, SierraRefusal *refusal)
{
	refusal->event = event;
	refusal->event_id = event->event_id;
	refusal->reason = reason;
	return SIERRA_APPEND_DUPLICATE_EVENT;
}

static bool
repeats_id_within_call(const SierraRoute *route, SierraRefusal *refusal)
{
	HASHCTL ctl = {0};
	HTAB *seen;

	if (route->count == 1)
		return false;
	ctl.keysize = ctl.entrysize = sizeof(pg_uuid_t);
	ctl.hcxt = CurrentMemoryContext;
	seen = hash_create("sierra_es ids of a call", route->count, &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < route->count; i++)
	{
		bool found = false;

		CHECK_FOR_INTERRUPTS();
		if (route->events[i].has_event_id)
			(void) hash_search(seen, &route->events[i].event_id, HASH_ENTER, &found);
		if (found)
		{
			refuse_id(&route->events[i], "The call has two events with this id.", refusal);
			return true;
		}
	}
	hash_destroy(seen);
	return false;
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

/* Looks in the partition of the event's stream; we hold its lock. */
static bool
find_in_partition(SierraAppendPartition *partition, SierraNewEvent *event,
				  SierraAppendResult *results, bool *same_stream)
{
	ScanKeyData key;
	SierraScan scan;
	bool found;

	sierra_scan_key_uuid(&key, 1, &event->event_id);
	sierra_scan_begin(&scan, partition->rel, partition->event_id_index, false, SnapshotSelf, 1);
	sierra_scan_rescan(&scan, &key);
	found = sierra_scan_next(&scan, ForwardScanDirection);
	if (found)
	{
		*same_stream = sierra_slot_text_equal(scan.slot, Anum_events_stream_id, event->stream_id);
		read_results(scan.slot, event, results);
	}
	sierra_scan_end(&scan);
	return found;
}

/* Looks in another partition, and waits for transactions that are writing the id there. */
static bool
is_in_other_partition(const SierraStore *store, int partition, const pg_uuid_t *event_id)
{
	Relation rel = sierra_scan_open_partition(store, partition, AccessShareLock);
	Relation index = sierra_scan_open_index(rel, SIERRA_INDEX_EVENT_ID);
	ScanKeyData key;
	SnapshotData dirty;
	SierraScan scan;
	bool found;

	sierra_scan_key_uuid(&key, 1, event_id);
	for (;;)
	{
		InitDirtySnapshot(dirty);
		sierra_scan_begin(&scan, rel, index, false, &dirty, 1);
		sierra_scan_rescan(&scan, &key);
		found = sierra_scan_next(&scan, ForwardScanDirection);
		sierra_scan_end(&scan);
		if (!found || !TransactionIdIsValid(dirty.xmin))
			break;
		XactLockTableWait(dirty.xmin, NULL, NULL, XLTW_None);
	}
	index_close(index, AccessShareLock);
	relation_close(rel, AccessShareLock);
	return found;
}

/* DONE: the id is not in use.  REPEATED: it is stored in the stream of the event. */
static SierraAppendStatus
check_id(SierraRoute *route, int i, SierraAppendResult *results, SierraRefusal *refusal)
{
	SierraNewEvent *event = &route->events[i];
	SierraRouteStream *stream = results->stream;
	int generated_in = sierra_uuid_partition(&event->event_id, route->store->partitions);
	bool same_stream;

	if (find_in_partition(stream->target, event, results, &same_stream))
		return same_stream ? SIERRA_APPEND_REPEATED
						   : refuse_id(event, "It is stored in another stream.", refusal);
	if (generated_in != stream->partition &&
		is_in_other_partition(route->store, generated_in, &event->event_id))
		return refuse_id(event, "It is stored in another stream.", refusal);
	if (sierra_registry_find_settled_id(route->store, &event->event_id) >= 0)
		return refuse_id(event, "It is stored in another stream.", refusal);
	return SIERRA_APPEND_DONE;
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

SierraAppendStatus
sierra_idempotency_check(SierraRoute *route, SierraAppendResult *results, SierraRefusal *refusal)
{
	int first_stored = -1;
	int stored = 0;

	if (!has_chosen_ids(route))
		return SIERRA_APPEND_DONE;
	if (repeats_id_within_call(route, refusal))
		return SIERRA_APPEND_DUPLICATE_EVENT;

	for (int i = 0; i < route->count; i++)
	{
		SierraAppendStatus status;

		CHECK_FOR_INTERRUPTS();
		if (!route->events[i].has_event_id)
			continue;
		status = check_id(route, i, &results[i], refusal);
		if (status == SIERRA_APPEND_DUPLICATE_EVENT)
			return status;
		if (status == SIERRA_APPEND_DONE)
			continue;
		if (!follows_in_stream(results[i].stream, results[i].stream_version))
			return refuse_id(&route->events[i],
							 "The events of the call are stored in another order, or with others "
							 "between them.",
							 refusal);
		if (stored++ == 0)
			first_stored = i;
	}

	if (stored == 0)
		return SIERRA_APPEND_DONE;
	if (stored == route->count)
	{
		/* The first append may have committed asynchronously. */
		sierra_make_durable();
		return SIERRA_APPEND_REPEATED;
	}
	return refuse_id(&route->events[first_stored],
					 "It is stored in this stream, but not all events of the call are.", refusal);
}
