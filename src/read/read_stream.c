/*
 * read_stream.c
 *		Reads one stream, one partition or one event.
 *
 * A stream is looked for in the partition of its name first.  Only a stream with a
 * partition key of its own is in another one, and only such streams are registered.
 */
#include "postgres.h"

#include "base/routing.h"
#include "read/partition_cursor.h"
#include "read/read_stream.h"
#include "store/event.h"
#include "store/registry.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "utils/snapmgr.h"

/* How many rows of a partition are read by the index when the next one is not on its page. */
#define FIRST_WINDOW 64

/* Adds scan keys for a range of an index column behind nkeys others; returns their number. */
static int
add_range_keys(ScanKeyData *keys, int nkeys, AttrNumber column, SierraRange range)
{
	if (range.from > 0)
		sierra_scan_key_int8(&keys[nkeys++], column, BTGreaterEqualStrategyNumber, range.from);
	if (range.to < PG_INT64_MAX)
		sierra_scan_key_int8(&keys[nkeys++], column, BTLessEqualStrategyNumber, range.to);
	return nkeys;
}

/* The numbers by which a range is read, for each index: its columns before them, and they. */
static const struct
{
	int nprefix;
	AttrNumber number; /* column of the table */
} numbers_of[] = {[SIERRA_INDEX_SEQUENCE] = {0, Anum_events_partition_sequence},
				  [SIERRA_INDEX_STREAM] = {1, Anum_events_stream_version},
				  [SIERRA_INDEX_EVENT_ID] = {1, InvalidAttrNumber}};

/* The highest number that the snapshot sees. */
static int64
find_last(Relation rel, Relation index, SierraIndex kind, ScanKeyData *prefix)
{
	SierraScan scan;
	int64 last = SIERRA_NONE;

	sierra_scan_begin(&scan, rel, index, false, GetActiveSnapshot(), numbers_of[kind].nprefix);
	if (sierra_scan_last(&scan, prefix))
		last = sierra_slot_int8(scan.slot, numbers_of[kind].number);
	sierra_scan_end(&scan);
	return last;
}

/* Finds the newest event of a partition, which may be in progress.  False: it was rolled back. */
static bool
find_end(SierraReadPartition *partition)
{
	TupleTableSlot *slot = table_slot_create(partition->rel, NULL);
	SnapshotData dirty;
	bool found;

	InitDirtySnapshot(dirty);
	found = sierra_scan_fetch_end(partition->rel, partition->sequence_index, &dirty, slot);
	if (found)
		sierra_read_partition_set_newest(partition, slot);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* False if the rows have to be read by the index alone. */
static bool
put_pages(Relation rel, Relation index, SierraRange range, SierraSink *sink)
{
	SierraSource source = {.partition = {.rel = rel, .sequence_index = index}, .with_gaps = true};
	bool found;
	int64 passed;

	if (!sierra_page_rows_usable(rel, GetActiveSnapshot()) || !find_end(&source.partition))
		return false;
	sierra_source_begin(&source, FIRST_WINDOW);
	found = sierra_source_start_on_page(&source, SIERRA_BY_SEQUENCE, range.from - 1,
										InvalidBlockNumber, &passed) ||
			sierra_source_start(&source, range.from, ForwardScanDirection);
	while (found && source.sequence <= range.to && sink->put(sink, source.scan.slot))
		found = sierra_source_advance(&source);
	sierra_source_end(&source);
	return true;
}

/*
 * Puts the rows of a partition with these sequences into the sink, mostly without its index.
 * False if they have to be read by the index alone.
 */
static bool
read_pages(const SierraStore *store, int partition, SierraRange range, SierraSink *sink)
{
	Relation rel;
	Relation index;
	bool done;

	sierra_store_lock(store);
	rel = sierra_scan_open_partition(store, partition, AccessShareLock);
	index = sierra_scan_open_index(rel, SIERRA_INDEX_SEQUENCE);
	done = put_pages(rel, index, range, sink);
	index_close(index, AccessShareLock);
	/* Keep the locks: results may point into the TOAST table. */
	relation_close(rel, NoLock);
	return done;
}

/* Puts the rows of one index scan into the sink; true if there was any. */
static bool
scan_partition(const SierraStore *store, int partition, SierraIndex kind, ScanKeyData *prefix,
			   SierraRange range, SierraSink *sink)
{
	ScanDirection direction = range.backward ? BackwardScanDirection : ForwardScanDirection;
	Relation rel;
	Relation index;
	ScanKeyData keys[3];
	int nkeys = numbers_of[kind].nprefix;
	SierraScan scan;
	bool any = false;

	sierra_store_lock(store);
	rel = sierra_scan_open_partition(store, partition, AccessShareLock);
	index = sierra_scan_open_index(rel, kind);
	/* Do not begin at what was rolled back, see sierra_scan_last(). */
	if (range.backward && range.to == PG_INT64_MAX)
		range.to = find_last(rel, index, kind, prefix);
	for (int i = 0; prefix != NULL && i < nkeys; i++)
		keys[i] = prefix[i];
	nkeys = add_range_keys(keys, nkeys, nkeys + 1, range);
	sierra_scan_begin(&scan, rel, index, true, GetActiveSnapshot(), nkeys);
	sierra_scan_rescan(&scan, keys);
	while (sierra_scan_next(&scan, direction))
	{
		any = true;
		if (!sink->put(sink, scan.slot))
			break;
	}
	sierra_scan_end(&scan);
	/* Keep the locks: results may point into the TOAST table. */
	relation_close(rel, NoLock);
	return any;
}

static int
partition_of_name(const SierraStore *store, const text *stream_id)
{
	pg_uuid_t key;

	sierra_uuid_of_name(VARDATA_ANY(stream_id), VARSIZE_ANY_EXHDR(stream_id), &key);
	return sierra_uuid_partition(&key, store->partitions);
}

/* The partition of a registered stream, or -1. */
static int
partition_of_registered(const SierraStore *store, const text *stream_id)
{
	pg_uuid_t key;

	if (!sierra_registry_key_of(store, stream_id, GetActiveSnapshot(), &key))
		return -1;
	return sierra_uuid_partition(&key, store->partitions);
}

void
sierra_read_stream(const SierraStore *store, const text *stream_id, SierraRange range,
				   SierraSink *sink)
{
	ScanKeyData prefix;
	int home = partition_of_name(store, stream_id);
	int registered;

	sierra_scan_key_text(&prefix, 1, stream_id);
	if (scan_partition(store, home, SIERRA_INDEX_STREAM, &prefix, range, sink))
		return;

	registered = partition_of_registered(store, stream_id);
	if (registered >= 0 && registered != home)
		(void) scan_partition(store, registered, SIERRA_INDEX_STREAM, &prefix, range, sink);
}

void
sierra_read_partition(const SierraStore *store, int partition, SierraRange range, SierraSink *sink)
{
	if (range.backward || !read_pages(store, partition, range, sink))
		(void) scan_partition(store, partition, SIERRA_INDEX_SEQUENCE, NULL, range, sink);
}

/* An id leads to its partition, or is registered. */
void
sierra_read_event(const SierraStore *store, const pg_uuid_t *event_id, SierraSink *sink)
{
	int generated_in = sierra_uuid_partition(event_id, store->partitions);
	int registered;
	SierraRange all = {0, PG_INT64_MAX, false};
	ScanKeyData key;

	sierra_scan_key_uuid(&key, 1, event_id);
	if (scan_partition(store, generated_in, SIERRA_INDEX_EVENT_ID, &key, all, sink))
		return;

	registered = sierra_registry_partition_of(store, event_id, GetActiveSnapshot());
	if (registered >= 0 && registered != generated_in)
		(void) scan_partition(store, registered, SIERRA_INDEX_EVENT_ID, &key, all, sink);
}
