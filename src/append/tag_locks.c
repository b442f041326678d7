/*
 * tag_locks.c
 *		Tag locks: keep appends with a tag and conditions on this tag apart.
 *
 * They are heavyweight locks, like those of partitions: so waiting for them can be
 * cancelled, deadlocks are detected, PREPARE TRANSACTION keeps them, and pg_locks shows them
 * (locktype advisory, objsubid 1512).  They are held until the transaction ends.  So a
 * condition that holds the lock of a tag sees all events with it that can be there before its
 * own events, and no other transaction can add one.
 *
 * A call takes its tag locks after the lock of the events table and before those of
 * partitions, in the order of their keys, each once and in the strongest mode that it needs.
 * So two calls do not wait for each other.  The key is a hash.  If two tags have the
 * same one, their appends and conditions only wait for each other without need.
 */
#include "postgres.h"

#include "append/tag_locks.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"

/* The class ("objsubid") of our advisory locks; see README.md. */
#define TAG_LOCK_CLASS 0x5E8

/*
 * The modes.  That of appends does not conflict with itself, nor does that of conditions, but
 * each conflicts with the other one.  An append with a tag that its own condition
 * depends on takes one mode that conflicts with both and with itself: if it took one mode
 * after the other, two such calls could wait for each other.
 */
#define LOCK_OF_APPEND RowExclusiveLock
#define LOCK_OF_CONDITION ShareLock
#define LOCK_OF_BOTH ShareRowExclusiveLock

/* Where a key is, or has to be put. */
static int
find_place(const SierraTagLocks *locks, uint64 key)
{
	int low = 0;
	int high = locks->count;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (locks->locks[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
add_lock(SierraTagLocks *locks, Datum tag, LOCKMODE mode)
{
	const text *name = (const text *) DatumGetPointer(tag);
	uint64 key =
		hash_bytes_extended((const unsigned char *) VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), 0);
	int place = find_place(locks, key);

	if (place < locks->count && locks->locks[place].key == key)
	{
		if (locks->locks[place].mode != mode)
			locks->locks[place].mode = LOCK_OF_BOTH;
		return;
	}
	if (locks->count == locks->capacity)
	{
		locks->capacity = Max(locks->capacity * 2, 8);
		locks->locks = locks->locks == NULL
						   ? palloc(sizeof(SierraTagLock) * locks->capacity)
						   : repalloc(locks->locks, sizeof(SierraTagLock) * locks->capacity);
	}
	memmove(&locks->locks[place + 1], &locks->locks[place],
			sizeof(SierraTagLock) * (locks->count - place));
	locks->locks[place] = (SierraTagLock){.key = key, .mode = mode};
	locks->count++;
}

/* lock_streams() passes the tags of many timers as those of one event, so they can be many. */
static void
add_tags(SierraTagLocks *locks, const SierraNewEvent *event)
{
	Datum *tags;
	int count;

	deconstruct_array(event->tags, TEXTOID, -1, false, TYPALIGN_INT, &tags, NULL, &count);
	for (int i = 0; i < count; i++)
		add_lock(locks, tags[i], LOCK_OF_APPEND);
	pfree(tags);
}

/* Collects the locks of calls; stops when there are more than max. */
static void
collect(const SierraNewEvent *events, const SierraAppendCall *calls, int ncalls, int max,
		SierraTagLocks *locks)
{
	*locks = (SierraTagLocks){0};
	for (int c = 0; c < ncalls && locks->count <= max; c++)
	{
		const SierraAppendCall *call = &calls[c];

		CHECK_FOR_INTERRUPTS();
		if (call->condition != NULL && call->condition->has_query)
		{
			const SierraEventQuery *query = &call->condition->query;

			for (int i = 0; i < query->count; i++)
				add_lock(locks, PointerGetDatum(query->items[i].tags[0]), LOCK_OF_CONDITION);
		}
		for (int i = call->first; i < call->first + call->count && locks->count <= max; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (events[i].tags == NULL)
				continue;
			add_tags(locks, &events[i]);
		}
	}
}

/* Can no tag locks keep out what the condition of a call depends on? */
static bool
has_untagged_condition(const SierraAppendCall *calls, int ncalls)
{
	for (int c = 0; c < ncalls; c++)
	{
		const SierraCondition *condition = calls[c].condition;

		if (condition != NULL && condition->has_query &&
			!sierra_event_query_is_tagged(&condition->query))
			return true;
	}
	return false;
}

bool
sierra_tag_locks_need_store(const SierraNewEvent *events, const SierraAppendCall *calls, int ncalls)
{
	SierraTagLocks locks;

	if (has_untagged_condition(calls, ncalls))
		return true;
	collect(events, calls, ncalls, SIERRA_TAG_LOCKS_MAX, &locks);
	if (locks.locks != NULL)
		pfree(locks.locks);
	return locks.count > SIERRA_TAG_LOCKS_MAX;
}

bool
sierra_tag_locks_call_needs_store(const SierraNewEvent *events, int count,
								  const SierraCondition *condition)
{
	SierraAppendCall call = {.count = count, .condition = condition};

	return count > 0 && sierra_tag_locks_need_store(events, &call, 1);
}

static void
set_lock_tag(LOCKTAG *tag, const SierraStore *store, uint64 key)
{
	uint64 hash = hash_combine64(key, hash_bytes_uint32_extended(store->events, 0));

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, TAG_LOCK_CLASS);
}

void
sierra_tag_locks_take(const SierraStore *store, const SierraNewEvent *events,
					  const SierraAppendCall *calls, int ncalls, SierraTagLocks *locks)
{
	*locks = (SierraTagLocks){0};
	if (store->locked_alone)
		return;
	collect(events, calls, ncalls, PG_INT32_MAX, locks);
	for (int i = 0; i < locks->count; i++)
	{
		LOCKTAG tag;

		set_lock_tag(&tag, store, locks->locks[i].key);
		(void) LockAcquire(&tag, locks->locks[i].mode, false, false);
	}
}

void
sierra_tag_locks_release(const SierraStore *store, const SierraTagLocks *locks)
{
	for (int i = 0; i < locks->count; i++)
	{
		LOCKTAG tag;

		set_lock_tag(&tag, store, locks->locks[i].key);
		LockRelease(&tag, locks->locks[i].mode, false);
	}
}
