/*
 * stream_list.c
 *		Lists streams, and names of events, without reading every event.
 *
 * By name: the index of each partition by stream and version is searched for the first entry
 * behind the stream that was listed last, so the events in between are not read.  A heap
 * has the next stream of each partition, and the first of these is the next of all.
 *
 * By time: there is no index for that.  The newest events are read backward, and the first
 * event that is met of a stream is its newest.  How many events are read is bounded.
 */
#include "postgres.h"

#include "base/stream_map.h"
#include "base/text.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "read/stream_list.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A partition whose streams are listed, at its next stream. */
typedef struct StreamCursor
{
	int partition;
	Relation rel;
	SierraScan next; /* by stream: finds the first event of the next one */
	SierraScan last; /* finds the newest event of a stream */
	text *stream_id; /* the next one */
	TimestampTz first_at;
} StreamCursor;

static bool
begins_with(const text *name, const text *prefix)
{
	return VARSIZE_ANY_EXHDR(name) >= VARSIZE_ANY_EXHDR(prefix) &&
		   memcmp(VARDATA_ANY(name), VARDATA_ANY(prefix), VARSIZE_ANY_EXHDR(prefix)) == 0;
}

static int
compare_names(const text *a, const text *b)
{
	int length_a = VARSIZE_ANY_EXHDR(a);
	int length_b = VARSIZE_ANY_EXHDR(b);
	int result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(length_a, length_b));

	return result != 0 ? result : length_a - length_b;
}

/* The heap has its highest element first, so this turns the order around. */
static int
compare_cursors(Datum a, Datum b, void *arg)
{
	const StreamCursor *left = (const StreamCursor *) DatumGetPointer(a);
	const StreamCursor *right = (const StreamCursor *) DatumGetPointer(b);

	return compare_names(right->stream_id, left->stream_id);
}

/* The slot of a scan can hold another row later, so what is kept of it is copied. */
static text *
copy_text(const text *value)
{
	return cstring_to_text_with_len(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * Moves to the first stream from this name on, or behind it.  False if there is none with
 * the prefix.
 */
static bool
seek(StreamCursor *cursor, const text *from, bool behind, const text *prefix)
{
	ScanKeyData key;
	text *found;

	ScanKeyEntryInitialize(
		&key, 0, 1, behind ? BTGreaterStrategyNumber : BTGreaterEqualStrategyNumber, InvalidOid,
		C_COLLATION_OID, behind ? F_TEXT_GT : F_TEXT_GE, PointerGetDatum(from));
	sierra_scan_rescan(&cursor->next, &key);
	if (!sierra_scan_next(&cursor->next, ForwardScanDirection))
		return false;
	found = sierra_slot_text(cursor->next.slot, Anum_events_stream_id);
	if (!begins_with(found, prefix))
		return false;
	cursor->stream_id = copy_text(found);
	cursor->first_at = sierra_slot_int8(cursor->next.slot, Anum_events_timestamp);
	return true;
}

static void
open_cursor(const SierraStore *store, int partition, StreamCursor *cursor)
{
	Relation index;

	cursor->partition = partition;
	cursor->rel = sierra_scan_open_partition(store, partition, AccessShareLock);
	index = sierra_scan_open_index(cursor->rel, SIERRA_INDEX_STREAM);
	sierra_scan_begin(&cursor->next, cursor->rel, index, true, GetActiveSnapshot(), 1);
	sierra_scan_begin(&cursor->last, cursor->rel, index, false, GetActiveSnapshot(), 1);
}

static void
close_cursor(StreamCursor *cursor)
{
	sierra_scan_end(&cursor->last);
	sierra_scan_end(&cursor->next);
	relation_close(cursor->rel, AccessShareLock);
}

/* Finds the newest event of the stream that the cursor is at; false if it is gone meanwhile. */
static bool
find_newest(StreamCursor *cursor, SierraListedStream *stream)
{
	TupleTableSlot *slot = cursor->last.slot;
	ScanKeyData key;

	sierra_scan_key_text(&key, 1, cursor->stream_id);
	if (!sierra_scan_last(&cursor->last, &key))
		return false;
	stream->stream_id = cursor->stream_id;
	stream->partition = cursor->partition;
	stream->first_at = cursor->first_at;
	stream->last_event_name = sierra_slot_text(slot, Anum_events_event_name);
	stream->last_version = sierra_slot_int8(slot, Anum_events_stream_version);
	stream->last_position = sierra_event_position(slot);
	stream->last_at = sierra_slot_int8(slot, Anum_events_timestamp);
	return true;
}

static void
list_in_order(binaryheap *heap, const text *prefix, int64 max_count, SierraListStream callback,
			  void *arg)
{
	for (int64 listed = 0; listed < max_count && !binaryheap_empty(heap);)
	{
		StreamCursor *cursor = (StreamCursor *) DatumGetPointer(binaryheap_first(heap));
		text *done = cursor->stream_id;
		SierraListedStream stream;

		CHECK_FOR_INTERRUPTS();
		if (find_newest(cursor, &stream))
		{
			callback(arg, &stream);
			listed++;
		}
		if (seek(cursor, done, true, prefix))
			binaryheap_replace_first(heap, PointerGetDatum(cursor));
		else
			(void) binaryheap_remove_first(heap);
		pfree(done);
	}
}

void
sierra_list_streams(const SierraStore *store, const text *prefix, const text *after,
					int64 max_count, SierraListStream callback, void *arg)
{
	StreamCursor *cursors = palloc0(sizeof(StreamCursor) * store->partitions);
	binaryheap *heap = binaryheap_allocate(store->partitions, compare_cursors, NULL);
	bool behind = after != NULL && compare_names(after, prefix) >= 0;

	sierra_store_lock(store);
	for (int i = 0; i < store->partitions; i++)
	{
		open_cursor(store, i, &cursors[i]);
		if (seek(&cursors[i], behind ? after : prefix, behind, prefix))
			binaryheap_add_unordered(heap, PointerGetDatum(&cursors[i]));
	}
	binaryheap_build(heap);
	list_in_order(heap, prefix, max_count, callback, arg);
	for (int i = 0; i < store->partitions; i++)
		close_cursor(&cursors[i]);
	sierra_store_unlock(store);
	binaryheap_free(heap);
	pfree(cursors);
}

/* Reads the newest events backward, at most this number of them. */
static void
read_newest(const SierraStore *store, int64 max_events, SierraSink *sink)
{
	SierraReadAll request = {.after = SIERRA_NONE, .backward = true, .expected_rows = max_events};

	if (max_events > 0)
		(void) sierra_read_all(store, &request, sink);
}

/* A sink that meets each stream at its newest event. */
typedef struct NewestSink
{
	SierraSink base;
	const text *prefix;
	int64 streams_left;
	int64 events_left;
	sierra_streams_hash *known;
	List *streams; /* of SierraListedStream, in the order in which they were met */
} NewestSink;

static bool
meet_stream(SierraSink *base, TupleTableSlot *slot)
{
	NewestSink *sink = (NewestSink *) base;
	text *stream_id = sierra_slot_text(slot, Anum_events_stream_id);
	SierraListedStream *stream;
	bool known;

	CHECK_FOR_INTERRUPTS();
	sink->events_left--;
	if (!begins_with(stream_id, sink->prefix) ||
		sierra_streams_lookup(sink->known, stream_id) != NULL)
		return sink->events_left > 0;
	stream = palloc(sizeof(SierraListedStream));
	stream->stream_id = copy_text(stream_id);
	stream->last_event_name = copy_text(sierra_slot_text(slot, Anum_events_event_name));
	stream->partition = sierra_slot_int4(slot, Anum_events_partition_id);
	stream->last_version = sierra_slot_int8(slot, Anum_events_stream_version);
	stream->last_position = sierra_event_position(slot);
	stream->last_at = sierra_slot_int8(slot, Anum_events_timestamp);
	sierra_streams_insert(sink->known, stream->stream_id, &known)->value = stream;
	sink->streams = lappend(sink->streams, stream);
	return --sink->streams_left > 0 && sink->events_left > 0;
}

/* A sink that keeps the time of the first event that it gets. */
typedef struct TimeSink
{
	SierraSink base;
	TimestampTz time;
} TimeSink;

static bool
keep_time(SierraSink *base, TupleTableSlot *slot)
{
	((TimeSink *) base)->time = sierra_slot_int8(slot, Anum_events_timestamp);
	return false;
}

void
sierra_list_newest_streams(const SierraStore *store, const text *prefix, int64 max_count,
						   int64 max_events, SierraListStream callback, void *arg)
{
	static const SierraRange first = {0, 0, false};
	NewestSink sink = {.base = {meet_stream},
					   .prefix = prefix,
					   .streams_left = max_count,
					   .events_left = max_events,
					   .known = sierra_streams_create(CurrentMemoryContext, 128, NULL)};
	ListCell *cell;

	if (max_count > 0)
		read_newest(store, max_events, &sink.base);
	foreach (cell, sink.streams)
	{
		SierraListedStream *stream = lfirst(cell);
		TimeSink time = {{keep_time}, stream->last_at};

		sierra_read_stream(store, stream->stream_id, first, &time.base);
		stream->first_at = time.time;
		callback(arg, stream);
	}
	sierra_streams_destroy(sink.known);
}

/* A sink that counts events by name. */
typedef struct NameSink
{
	SierraSink base;
	int64 events_left;
	sierra_streams_hash *known;
	List *names; /* of SierraListedName, in the order in which they were met */
} NameSink;

static bool
count_name(SierraSink *base, TupleTableSlot *slot)
{
	NameSink *sink = (NameSink *) base;
	text *event_name = sierra_slot_text(slot, Anum_events_event_name);
	TimestampTz time = sierra_slot_int8(slot, Anum_events_timestamp);
	SierraStreamSlot *known = sierra_streams_lookup(sink->known, event_name);
	SierraListedName *name;
	bool found;

	CHECK_FOR_INTERRUPTS();
	if (known != NULL)
		name = known->value;
	else
	{
		name = palloc0(sizeof(SierraListedName));
		name->event_name = copy_text(event_name);
		name->last_position = sierra_event_position(slot);
		name->last_at = time;
		sierra_streams_insert(sink->known, name->event_name, &found)->value = name;
		sink->names = lappend(sink->names, name);
	}
	name->events++;
	name->first_at = time;
	return --sink->events_left > 0;
}

void
sierra_list_event_names(const SierraStore *store, int64 max_events, SierraListName callback,
						void *arg)
{
	NameSink sink = {.base = {count_name},
					 .events_left = max_events,
					 .known = sierra_streams_create(CurrentMemoryContext, 128, NULL)};
	ListCell *cell;

	read_newest(store, max_events, &sink.base);
	foreach (cell, sink.names)
		callback(arg, lfirst(cell));
	sierra_streams_destroy(sink.known);
}
