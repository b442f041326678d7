/*
 * query_probe.c
 *		The first event that a query matches, for the condition of an append.
 *
 * A reader of the store has to stop at the horizon, because events below what it has read
 * could still become visible.  Here locks keep all writers away whose events could match, so
 * what is visible now is all there is.
 *
 * Nearly always there is nothing to find, so no partition is opened before an entry of its
 * events is found.
 */
#include "postgres.h"

#include "read/event_lookup.h"
#include "read/query_probe.h"
#include "read/tag_cursor.h"
#include "store/event.h"
#include "store/registry.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef struct Probe
{
	const SierraStore *store;
	const SierraEventQuery *query;
	int64 after;
	const int64 *seen;
	int seen_count;
	SierraReadPartition *partitions;
	SierraEventLookup lookup;
	SierraPlace found; /* its position is PG_INT64_MAX: nothing */
} Probe;

static int
compare_positions(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/* Is the event in the slot one that is looked for? */
static bool
is_wanted(const Probe *probe, TupleTableSlot *slot)
{
	int64 position = sierra_event_position(slot);

	return sierra_event_query_matches(probe->query, slot) &&
		   (probe->seen_count == 0 || bsearch(&position, probe->seen, probe->seen_count,
											  sizeof(int64), compare_positions) == NULL);
}

/*
 * Is it possible that an event matches?  Not if no item has an entry of its first tag, whose
 * lock the append holds.
 */
static bool
may_find_tags(const Probe *probe)
{
	Relation index;
	Relation rel = sierra_registry_open_tags_index(probe->store, &index);
	bool may = false;

	for (int i = 0; i < probe->query->count && !may; i++)
		may = sierra_scan_may_have_tag_after(rel, index, probe->query->items[i].tags[0],
											 probe->after);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return may;
}

/* Looks at the entries of the tags of the query.  The first event that matches is the one. */
static void
search_tags(Probe *probe)
{
	SierraTagCursor cursor;
	SierraPlace place;

	if (!may_find_tags(probe))
		return;
	sierra_tag_cursor_begin(&cursor, probe->store, probe->query, SnapshotSelf, ForwardScanDirection,
							probe->after + 1, PG_INT64_MAX);
	while (sierra_tag_cursor_next(&cursor, &place))
	{
		TupleTableSlot *slot =
			sierra_event_lookup_find(&probe->lookup, place.partition, place.sequence);

		if (slot != NULL && sierra_event_position(slot) == place.position && is_wanted(probe, slot))
		{
			probe->found = place;
			break;
		}
	}
	sierra_tag_cursor_end(&cursor);
}

/* Looks at the events of a partition above the position, from this sequence backward. */
static void
search_backward(Probe *probe, int id, int64 newest)
{
	SierraReadPartition *partition = &probe->partitions[id];
	SierraScan scan;
	ScanKeyData key;

	sierra_scan_begin(&scan, partition->rel, partition->sequence_index, false, SnapshotSelf, 1);
	sierra_scan_key_int8(&key, 1, BTLessEqualStrategyNumber, newest);
	sierra_scan_rescan(&scan, &key);
	while (sierra_scan_next(&scan, BackwardScanDirection))
	{
		int64 position = sierra_event_position(scan.slot);

		if (position <= probe->after)
			break;
		if (position < probe->found.position && is_wanted(probe, scan.slot))
			probe->found = (SierraPlace){position, id, sierra_event_sequence(scan.slot)};
	}
	sierra_scan_end(&scan);
}

/* Within a partition, positions ascend with sequences; mostly the newest event says enough. */
static void
search_partition(Probe *probe, int id)
{
	SierraReadPartition *partition = &probe->partitions[id];
	TupleTableSlot *slot;

	partition->rel = sierra_scan_open_partition(probe->store, id, AccessShareLock);
	partition->sequence_index = sierra_scan_open_index(partition->rel, SIERRA_INDEX_SEQUENCE);
	slot = table_slot_create(partition->rel, NULL);
	sierra_scan_newest_locked(partition->rel, partition->sequence_index, slot, &partition->sequence,
							  &partition->position);
	ExecDropSingleTupleTableSlot(slot);
	if (partition->position > probe->after)
		search_backward(probe, id, partition->sequence);
}

static void
describe(Probe *probe, SierraFoundEvent *found)
{
	TupleTableSlot *slot =
		sierra_event_lookup_find(&probe->lookup, probe->found.partition, probe->found.sequence);

	if (slot == NULL)
		elog(ERROR, "the event that a condition refers to has vanished");
	found->position = probe->found.position;
	found->partition = probe->found.partition;
	found->sequence = probe->found.sequence;
	found->stream_version = sierra_slot_int8(slot, Anum_events_stream_version);
	found->event_id = *sierra_slot_uuid(slot, Anum_events_event_id);
	found->stream_id =
		DatumGetTextPCopy(PointerGetDatum(sierra_slot_text(slot, Anum_events_stream_id)));
	found->event_name =
		DatumGetTextPCopy(PointerGetDatum(sierra_slot_text(slot, Anum_events_event_name)));
}

static void
close_partitions(Probe *probe)
{
	for (int i = 0; i < probe->store->partitions; i++)
	{
		if (probe->partitions[i].rel == NULL)
			continue;
		index_close(probe->partitions[i].sequence_index, AccessShareLock);
		relation_close(probe->partitions[i].rel, AccessShareLock);
	}
}

bool
sierra_query_find_first(const SierraStore *store, const SierraEventQuery *query, int64 after,
						const int64 *seen, int seen_count, SierraFoundEvent *found)
{
	Probe probe = {.store = store,
				   .query = query,
				   .after = after,
				   .seen = seen,
				   .seen_count = seen_count,
				   .partitions = palloc0(sizeof(SierraReadPartition) * store->partitions),
				   .found = {.position = PG_INT64_MAX}};
	bool any;

	if (after == PG_INT64_MAX)
		return false;
	sierra_store_lock(store);
	sierra_event_lookup_begin(&probe.lookup, store, probe.partitions, SnapshotSelf);
	if (sierra_event_query_is_tagged(query))
		search_tags(&probe);
	else
	{
		for (int i = 0; i < store->partitions; i++)
			search_partition(&probe, i);
	}
	any = probe.found.position < PG_INT64_MAX;
	if (any)
		describe(&probe, found);
	sierra_event_lookup_end(&probe.lookup);
	close_partitions(&probe);
	sierra_store_unlock(store);
	return any;
}
