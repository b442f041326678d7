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

static int
partition_of(const SierraRoute *route, const pg_uuid_t *key)
{
	return sierra_uuid_partition(key, route->store->partitions);
}

static void
move_to_key(const SierraRoute *route, SierraRouteStream *stream, const pg_uuid_t *key)
{
	stream->key = *key;
	stream->partition = partition_of(route, key);
}

/* The key that the first call gives to the stream; NULL if it gives none. */
static const pg_uuid_t *
given_key(const SierraRoute *route, const SierraRouteStream *stream)
{
	return stream->is_checked ? NULL : route->calls[stream->first_call].key;
}

/* The key that the stream gets from its first call if it is new. */
static void
begin_key(const SierraRoute *route, SierraRouteStream *stream)
{
	const pg_uuid_t *given = given_key(route, stream);
	pg_uuid_t key;

	if (given == NULL)
		key_of_name(stream->event->stream_id, &key);
	move_to_key(route, stream, given != NULL ? given : &key);
}

static void
begin_stream(const SierraRoute *route, SierraRouteStream *stream, const SierraNewEvent *event,
			 int call, bool is_checked)
{
	*stream = (SierraRouteStream){.event = event,
								  .home = -1,
								  .is_checked = is_checked,
								  .first_call = call,
								  .newest_call = -1,
								  .version = SIERRA_NONE,
								  .repeated_version = SIERRA_NONE};
	begin_key(route, stream);
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

/* Adds the streams of a condition.  There is nothing to compare with "any". */
static void
collect_checked(SierraRoute *route, int c, stream_slots_hash *table)
{
	SierraAppendCall *call = &route->calls[c];
	const SierraCondition *condition = call->condition;

	call->checked = palloc0(sizeof(SierraRouteStream *) * condition->stream_count);
	for (int i = 0; i < condition->stream_count; i++)
	{
		bool found;
		StreamSlot *slot;

		if (condition->streams[i].expected == SIERRA_EXPECT_ANY)
			continue;
		route->streams[route->nstreams].event = &condition->streams[i];
		slot = stream_slots_insert(table, route->nstreams, &found);
		if (!found)
			begin_stream(route, &route->streams[route->nstreams++], &condition->streams[i], c,
						 true);
		call->checked[i] = &route->streams[slot->index];
	}
}

static bool
is_same_key(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return a == NULL || b == NULL ? a == b : sierra_uuid_equal(a, b);
}

static void
collect_events(SierraRoute *route, int c, stream_slots_hash *table)
{
	const SierraAppendCall *call = &route->calls[c];

	for (int i = call->first; i < call->first + call->count; i++)
	{
		bool found;
		StreamSlot *slot;
		SierraRouteStream *stream;

		CHECK_FOR_INTERRUPTS();
		route->streams[route->nstreams].event = &route->events[i];
		slot = stream_slots_insert(table, route->nstreams, &found);
		stream = &route->streams[slot->index];
		route->results[i].stream = stream;
		if (!found)
			begin_stream(route, &route->streams[route->nstreams++], &route->events[i], c, false);
		else if (stream->first_call != c &&
				 !is_same_key(call->key, route->calls[stream->first_call].key))
			stream->is_disputed = route->has_disputes = true;
	}
}

/* How many streams the calls can have at most. */
static Size
count_of_streams(const SierraRoute *route)
{
	Size count = route->count;

	for (int c = 0; c < route->ncalls; c++)
	{
		if (route->calls[c].condition != NULL)
			count += route->calls[c].condition->stream_count;
	}
	return count;
}

static void
collect_streams(SierraRoute *route)
{
	Size count = count_of_streams(route);
	stream_slots_hash *table;

	/* Pages that are not written to take no memory, so there may be room for too many. */
	route->streams =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraRouteStream) * (count + 1));
	route->nstreams = 0;
	if (count == 1)
	{
		begin_stream(route, &route->streams[route->nstreams++], &route->events[0], 0, false);
		route->results[0].stream = &route->streams[0];
		return;
	}

	table = stream_slots_create(CurrentMemoryContext, Min(count, FIRST_SIZE), route);
	for (int c = 0; c < route->ncalls; c++)
		collect_events(route, c, table);
	for (int c = 0; c < route->ncalls; c++)
	{
		if (route->calls[c].condition != NULL && route->calls[c].condition->stream_count > 0)
			collect_checked(route, c, table);
	}
	stream_slots_destroy(table);
}

/* Why a partition is locked. */
typedef enum Wanted
{
	NOT_WANTED,
	WANTED_TO_KEEP_OUT, /* to keep others from creating or changing a stream there */
	WANTED_TO_WRITE
} Wanted;

/* Whichever call creates a disputed stream, the partition of its key will be written to. */
static void
want_disputed(const SierraRoute *route, Wanted *wanted)
{
	for (int c = 0; c < route->ncalls; c++)
	{
		const SierraAppendCall *call = &route->calls[c];

		for (int i = call->first; i < call->first + call->count; i++)
		{
			pg_uuid_t key;

			if (!route->results[i].stream->is_disputed)
				continue;
			if (call->key != NULL)
				key = *call->key;
			else
				key_of_name(route->events[i].stream_id, &key);
			wanted[partition_of(route, &key)] = WANTED_TO_WRITE;
		}
	}
}

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
	if (route->has_disputes)
		want_disputed(route, wanted);
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
		sierra_partition_lock(RelationGetRelid(route->partitions[i].rel), SIERRA_LOCK_KEEP_OUT);
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

/* Looks for the stream in a partition that is open and locked. */
static bool
find_in(SierraRouteStream *stream, SierraAppendPartition *partition)
{
	bool not_serializable;

	if (!sierra_append_partition_probe_stream(partition, stream->event->stream_id, &stream->version,
											  &stream->key, &not_serializable))
		return false;
	stream->not_serializable = not_serializable;
	stream->target = partition;
	stream->partition = partition->id;
	return true;
}

/*
 * Settles a stream that exists neither in the partition of the key that its first call gives
 * it, nor in stream_keys.  It must not exist with the key of its name, and no other session may
 * create it with that key at the same time.
 */
static bool
settle_new(SierraRoute *route, SierraRouteStream *stream)
{
	const pg_uuid_t *given = given_key(route, stream);
	pg_uuid_t name_key;
	SierraAppendPartition *home;

	if (given == NULL)
		return true;
	key_of_name(stream->event->stream_id, &name_key);
	if (sierra_uuid_equal(&name_key, given))
		return true;

	stream->home = partition_of(route, &name_key);
	home = find_partition(route, stream->home);
	if (home == NULL)
		return false;
	stream->register_key = !find_in(stream, home);
	return true;
}

/*
 * Looks for a stream under the locks; false if another partition has to be locked too.
 * Otherwise its partition is locked, and its key and version are known.
 */
static bool
settle_stream(SierraRoute *route, SierraRouteStream *stream)
{
	pg_uuid_t key;

	stream->target = find_partition(route, stream->partition);
	stream->version = SIERRA_NONE;
	stream->register_key = stream->not_serializable = false;
	if (find_in(stream, stream->target))
		return true;

	if (!route->keys.active)
		sierra_registry_begin_keys(route->store, SnapshotSelf, &route->keys);
	if (!sierra_registry_find_key(&route->keys, stream->event->stream_id, &key))
		return settle_new(route, stream);
	move_to_key(route, stream, &key);
	return stream->partition == stream->target->id;
}

void
sierra_route_open(SierraRoute *route)
{
	bool moved = true;

	collect_streams(route);
	while (moved)
	{
		moved = false;
		open_and_lock(route);
		for (int i = 0; i < route->npartitions; i++)
			sierra_append_partition_probe(&route->partitions[i]);
		for (int i = 0; i < route->nstreams; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!settle_stream(route, &route->streams[i]))
				moved = true;
		}
		for (int i = 0; i < route->npartitions; i++)
			sierra_append_partition_end_probes(&route->partitions[i]);
		sierra_registry_end(&route->keys);
		if (moved)
		{
			sierra_route_unlock(route);
			sierra_route_close(route);
		}
	}
}

/* A disputed stream that is new gets the key of the call, until one has created it. */
static void
claim_stream(SierraRoute *route, SierraRouteStream *stream, const pg_uuid_t *given)
{
	pg_uuid_t name_key;

	key_of_name(stream->event->stream_id, &name_key);
	move_to_key(route, stream, given != NULL ? given : &name_key);
	stream->register_key = !sierra_uuid_equal(&stream->key, &name_key);
	stream->target = find_partition(route, stream->partition);
}

static SierraAppendStatus
check_stream(SierraRoute *route, SierraRouteStream *stream, SierraAppendCall *call)
{
	if (stream->is_disputed && stream->version == SIERRA_NONE)
		claim_stream(route, stream, call->key);
	call->refusal.event = stream->event;
	if (call->key != NULL && !sierra_uuid_equal(&stream->key, call->key))
	{
		call->refusal.stream_key = stream->key;
		call->refusal.given_key = *call->key;
		return SIERRA_APPEND_KEY_MISMATCH;
	}
	return stream->not_serializable ? SIERRA_APPEND_NOT_SERIALIZABLE : SIERRA_APPEND_DONE;
}

SierraAppendStatus
sierra_route_check(SierraRoute *route, SierraAppendCall *call)
{
	SierraAppendStatus status = SIERRA_APPEND_DONE;

	if (call->key == NULL && !route->has_disputes && !IsolationUsesXactSnapshot())
		return SIERRA_APPEND_DONE;
	for (int i = call->first; i < call->first + call->count && status == SIERRA_APPEND_DONE; i++)
	{
		CHECK_FOR_INTERRUPTS();
		status = check_stream(route, route->results[i].stream, call);
	}
	for (int i = 0; call->checked != NULL && i < call->condition->stream_count; i++)
	{
		if (status != SIERRA_APPEND_DONE || call->checked[i] == NULL ||
			!call->checked[i]->not_serializable)
			continue;
		call->refusal.event = &call->condition->streams[i];
		status = SIERRA_APPEND_NOT_SERIALIZABLE;
	}
	return status;
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

		if (partition->pending == 0 || partition->is_announced)
			continue;
		sierra_partition_lock(RelationGetRelid(partition->rel), SIERRA_LOCK_WRITE);
		sierra_partition_unlock(RelationGetRelid(partition->rel), SIERRA_LOCK_KEEP_OUT);
		partition->is_announced = true;
	}
}

void
sierra_route_unlock(SierraRoute *route)
{
	for (int i = 0; i < route->npartitions; i++)
	{
		const SierraAppendPartition *partition = &route->partitions[i];

		sierra_partition_unlock(RelationGetRelid(partition->rel),
								partition->is_announced ? SIERRA_LOCK_WRITE : SIERRA_LOCK_KEEP_OUT);
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
