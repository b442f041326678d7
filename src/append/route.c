/*
 * route.c
 *		The first half of an append: finds the streams of the call and their partitions,
 *		and locks these.
 *
 * The events of a stream are in the partition of its key.  This is the key of the
 * stream's name, unless its first event was appended with another key; such streams are
 * registered in stream_keys.  The partition of the key of the name is the home of the
 * stream.  Two sessions must not create a stream with two different keys.  So a session
 * that creates a stream with a key of its own also locks the home of the stream.  This
 * way every session that creates a stream holds the lock of its home, and looks under
 * this lock whether the stream exists in another partition.
 *
 * The partition of a stream is a guess until it is locked.  The guess can be wrong only
 * for a stream with a key of its own.  Then we release the locks, which is harmless
 * because nothing has been written yet, and start again with the key that we found.  So
 * locks are always taken in ascending order, and appends that lock several partitions
 * cannot deadlock with each other.
 */
#include "postgres.h"

#include "append/route.h"
#include "base/routing.h"
#include "base/stream_map.h"
#include "store/partition_lock.h"
#include "store/registry.h"
#include "wakeup/announce.h"
#include "wakeup/doorbell.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static void
key_of_name(const text *stream_id, pg_uuid_t *key)
{
	sierra_uuid_of_name(VARDATA_ANY(stream_id), VARSIZE_ANY_EXHDR(stream_id), key);
}

static void
move_to_key(const SierraRoute *route, SierraRouteStream *stream, const pg_uuid_t *key)
{
	stream->key = *key;
	stream->partition = sierra_uuid_partition(key, route->store->partitions);
}

static void
begin_stream(const SierraRoute *route, SierraRouteStream *stream, const SierraNewEvent *event,
			 bool is_checked)
{
	pg_uuid_t key;

	*stream = (SierraRouteStream){.event = event,
								  .home = -1,
								  .is_checked = is_checked,
								  .version = SIERRA_NONE,
								  .repeated_version = SIERRA_NONE};
	if (route->key != NULL && !is_checked)
		move_to_key(route, stream, route->key);
	else
	{
		key_of_name(event->stream_id, &key);
		move_to_key(route, stream, &key);
	}
}

/*
 * A hash table of the streams of a call.  It has only their indexes, because there can be
 * a stream for each of many small events.
 */
typedef struct StreamSlot
{
	int32 index;
	char status;
} StreamSlot;

static inline const text *
stream_id_of(const SierraRoute *route, int index)
{
	return route->streams[index].event->stream_id;
}

#define SH_PREFIX stream_slots
#define SH_ELEMENT_TYPE StreamSlot
#define SH_KEY_TYPE int32
#define SH_KEY index
#define SH_HASH_KEY(tb, key) sierra_stream_hash(stream_id_of((tb)->private_data, key))
#define SH_EQUAL(tb, a, b)                                                                         \
	sierra_text_equal(stream_id_of((tb)->private_data, a), stream_id_of((tb)->private_data, b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

/* How many streams there is room for in the table before it grows. */
#define FIRST_SIZE 1024

/* A stream with events in the call has its expected version there. */
static void
refuse_other_expectation(const SierraNewEvent *event, const SierraNewEvent *checked)
{
	if (event->expected == checked->expected)
		return;
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("the call appends to stream \"%s\" of its condition",
				   text_to_cstring(checked->stream_id)),
			errdetail("The first event for the stream expects version %s, the condition %s.",
					  sierra_expected_version_text(event->expected),
					  sierra_expected_version_text(checked->expected)),
			errhint("Pass the version as expected_version of the event, and leave the stream out "
					"of the condition."));
}

/*
 * Adds the streams of the condition that the call does not append to.  There is nothing to
 * compare with "any".
 */
static void
collect_checked(SierraRoute *route, stream_slots_hash *table)
{
	for (int i = 0; i < route->nchecked; i++)
	{
		const StreamSlot *slot;

		route->streams[route->nstreams].event = &route->checked[i];
		slot = stream_slots_lookup(table, route->nstreams);
		if (slot != NULL)
			refuse_other_expectation(route->streams[slot->index].event, &route->checked[i]);
		else if (route->checked[i].expected != SIERRA_EXPECT_ANY)
			begin_stream(route, &route->streams[route->nstreams++], &route->checked[i], true);
	}
}

static void
collect_streams(SierraRoute *route, SierraAppendResult *results)
{
	stream_slots_hash *table;

	/* Pages that are not written to take no memory, so there may be room for too many. */
	route->streams = MemoryContextAllocHuge(CurrentMemoryContext,
											sizeof(SierraRouteStream) *
												((Size) route->count + route->nchecked + 1));
	route->nstreams = 0;
	if (route->count == 1 && route->nchecked == 0)
	{
		begin_stream(route, &route->streams[route->nstreams++], &route->events[0], false);
		results[0].stream = &route->streams[0];
		return;
	}

	table = stream_slots_create(CurrentMemoryContext, Min(route->count, FIRST_SIZE), route);
	for (int i = 0; i < route->count; i++)
	{
		bool found;
		StreamSlot *slot;

		CHECK_FOR_INTERRUPTS();
		route->streams[route->nstreams].event = &route->events[i];
		slot = stream_slots_insert(table, route->nstreams, &found);
		if (!found)
			begin_stream(route, &route->streams[route->nstreams++], &route->events[i], false);
		results[i].stream = &route->streams[slot->index];
	}
	collect_checked(route, table);
	stream_slots_destroy(table);
}

/* Why a partition is locked. */
typedef enum Wanted
{
	NOT_WANTED,
	WANTED_TO_KEEP_OUT, /* to keep others from creating or changing a stream there */
	WANTED_TO_WRITE
} Wanted;

static Wanted *
wanted_partitions(SierraRoute *route)
{
	Wanted *wanted = palloc0(sizeof(Wanted) * route->store->partitions);

	for (int i = 0; i < route->nstreams; i++)
	{
		const SierraRouteStream *stream = &route->streams[i];

		if (stream->home >= 0)
			wanted[stream->home] = Max(wanted[stream->home], WANTED_TO_KEEP_OUT);
		wanted[stream->partition] = stream->is_checked
										? Max(wanted[stream->partition], WANTED_TO_KEEP_OUT)
										: WANTED_TO_WRITE;
	}
	return wanted;
}

/* Opens the partitions of all streams, then locks them, both in ascending order. */
static void
open_and_lock(SierraRoute *route)
{
	Wanted *wanted = wanted_partitions(route);
	int count = 0;

	for (int partition = 0; partition < route->store->partitions; partition++)
		count += (wanted[partition] != NOT_WANTED);

	/* Open all tables before the first lock: otherwise DDL and appends could deadlock. */
	route->partitions = palloc(sizeof(SierraAppendPartition) * count);
	route->npartitions = 0;
	for (int partition = 0; partition < route->store->partitions; partition++)
	{
		if (wanted[partition] == NOT_WANTED)
			continue;
		route->partitions[route->npartitions].is_written = wanted[partition] == WANTED_TO_WRITE;
		sierra_append_partition_open(route->store, partition,
									 &route->partitions[route->npartitions++]);
	}
	for (int i = 0; i < route->npartitions; i++)
	{
		SierraAppendPartition *partition = &route->partitions[i];

		partition->lock_is_new =
			sierra_partition_lock(RelationGetRelid(partition->rel), SIERRA_LOCK_KEEP_OUT);
	}
	pfree(wanted);
}

static SierraAppendPartition *
find_partition(SierraRoute *route, int id)
{
	for (int i = 0; i < route->npartitions; i++)
	{
		if (route->partitions[i].id == id)
			return &route->partitions[i];
	}
	return NULL;
}

/* The result of looking for one stream under the locks. */
typedef enum Settled
{
	SETTLED, /* its partition is locked, and its key and version are known */
	MOVED,	 /* another partition has to be locked too */
	REFUSED
} Settled;

/* Must the stream have another key than the one that it has?  A checked one may have any. */
static bool
has_wrong_key(const SierraRoute *route, const SierraRouteStream *stream,
			  const pg_uuid_t *stream_key)
{
	return route->key != NULL && !stream->is_checked && !sierra_uuid_equal(stream_key, route->key);
}

static Settled
refuse_key(SierraRouteStream *stream, const SierraRoute *route, const pg_uuid_t *stream_key,
		   SierraAppendStatus *status, SierraRefusal *refusal)
{
	refusal->event = stream->event;
	refusal->stream_key = *stream_key;
	refusal->given_key = *route->key;
	*status = SIERRA_APPEND_KEY_MISMATCH;
	return REFUSED;
}

/*
 * A new stream with the key of the call must not exist with the key of its name, and no
 * other session may create it with that key at the same time.
 */
static Settled
settle_new_key(SierraRoute *route, SierraRouteStream *stream, SierraAppendStatus *status,
			   SierraRefusal *refusal)
{
	pg_uuid_t name_key;
	pg_uuid_t stream_key;
	int64 version;
	bool not_serializable;
	SierraAppendPartition *home;

	key_of_name(stream->event->stream_id, &name_key);
	if (sierra_uuid_equal(&name_key, route->key))
		return SETTLED;

	stream->home = sierra_uuid_partition(&name_key, route->store->partitions);
	home = find_partition(route, stream->home);
	if (home == NULL)
		return MOVED;
	if (sierra_append_partition_probe_stream(home, stream->event->stream_id, &version, &stream_key,
											 &not_serializable))
		return refuse_key(stream, route, &stream_key, status, refusal);
	stream->register_key = true;
	return SETTLED;
}

static Settled
settle_stream(SierraRoute *route, SierraRouteStream *stream, SierraAppendStatus *status,
			  SierraRefusal *refusal)
{
	pg_uuid_t stream_key;
	bool not_serializable = false;

	stream->target = find_partition(route, stream->partition);
	stream->register_key = false;
	if (sierra_append_partition_probe_stream(stream->target, stream->event->stream_id,
											 &stream->version, &stream_key, &not_serializable))
	{
		if (has_wrong_key(route, stream, &stream_key))
			return refuse_key(stream, route, &stream_key, status, refusal);
		stream->key = stream_key;
		if (not_serializable)
		{
			refusal->event = stream->event;
			*status = SIERRA_APPEND_NOT_SERIALIZABLE;
			return REFUSED;
		}
		return SETTLED;
	}

	if (!route->keys.active)
		sierra_registry_begin_keys(route->store, SnapshotSelf, &route->keys);
	if (sierra_registry_find_key(&route->keys, stream->event->stream_id, &stream_key))
	{
		if (has_wrong_key(route, stream, &stream_key))
			return refuse_key(stream, route, &stream_key, status, refusal);
		move_to_key(route, stream, &stream_key);
		return stream->partition == stream->target->id ? SETTLED : MOVED;
	}
	if (route->key != NULL && !stream->is_checked)
		return settle_new_key(route, stream, status, refusal);
	return SETTLED;
}

SierraAppendStatus
sierra_route_open(SierraRoute *route, SierraAppendResult *results, SierraRefusal *refusal)
{
	SierraAppendStatus status = SIERRA_APPEND_DONE;
	bool moved = true;

	collect_streams(route, results);
	while (moved)
	{
		moved = false;
		open_and_lock(route);
		for (int i = 0; i < route->npartitions; i++)
			sierra_append_partition_probe(&route->partitions[i]);
		for (int i = 0; i < route->nstreams && status == SIERRA_APPEND_DONE; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (settle_stream(route, &route->streams[i], &status, refusal) == MOVED)
				moved = true;
		}
		for (int i = 0; i < route->npartitions; i++)
			sierra_append_partition_end_probes(&route->partitions[i]);
		sierra_registry_end(&route->keys);
		if (status != SIERRA_APPEND_DONE || moved)
		{
			sierra_route_unlock(route);
			sierra_route_close(route);
		}
		if (status != SIERRA_APPEND_DONE)
			return status;
	}
	return SIERRA_APPEND_DONE;
}

/*
 * Does not wait: whoever wants the lock waits because we hold it in mode KEEP_OUT.  This
 * mode is not needed any more then.  The announcement comes first, so that a reader that
 * finds the lock finds it too.
 */
void
sierra_route_begin_writing(SierraRoute *route)
{
	sierra_doorbell_note_locks(route->store);
	sierra_announce(route->store);
	for (int i = 0; i < route->npartitions; i++)
	{
		SierraAppendPartition *partition = &route->partitions[i];

		if (!partition->is_written)
			continue;
		(void) sierra_partition_lock(RelationGetRelid(partition->rel), SIERRA_LOCK_WRITE);
		if (partition->lock_is_new)
			sierra_partition_unlock(RelationGetRelid(partition->rel), SIERRA_LOCK_KEEP_OUT);
		partition->lock_is_new = false;
	}
}

void
sierra_route_unlock(SierraRoute *route)
{
	for (int i = 0; i < route->npartitions; i++)
	{
		if (route->partitions[i].lock_is_new)
			sierra_partition_unlock(RelationGetRelid(route->partitions[i].rel),
									SIERRA_LOCK_KEEP_OUT);
	}
}

void
sierra_route_close(SierraRoute *route)
{
	for (int i = 0; i < route->npartitions; i++)
		sierra_append_partition_close(&route->partitions[i]);
	pfree(route->partitions);
	route->partitions = NULL;
	route->npartitions = 0;
}
