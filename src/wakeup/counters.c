/*
 * counters.c
 *		Counts what appends do, by store, since the server has started.
 *
 * A session looks for the counters of a store once, under sierra_shared->lock, and keeps
 * their place.  After that it only adds to atomics, once for each transaction.
 *
 * A store whose schema has been dropped leaves its counters behind.  They are given to
 * another store when no others are free, or after the next look at the metrics.  A session that
 * still has the place of the dropped one finds another owner there, and adds nothing.
 */
#include "postgres.h"

#include "base/guc.h"
#include "wakeup/counters.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/syscache.h"

/* What this transaction has appended, by store and nesting level. */
typedef struct Noted
{
	SierraCounters *counters;
	uint64 owner;
	int level;
	int64 appends;
	int64 events;
	int64 bytes;
} Noted;

static Noted noted[SIERRA_RINGS_MAX];
static int noted_count = 0;

/* The counters that the session used last. */
static SierraCounters *last = NULL;
static uint64 last_owner = 0;

static uint64
owner_of(Oid database, Oid schema)
{
	return ((uint64) database << 32) | schema;
}

static bool
is_dropped(uint64 owner)
{
	return (Oid) (owner >> 32) == MyDatabaseId &&
		   !SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum((Oid) owner));
}

static void
give(SierraCounters *counters, uint64 owner)
{
	pg_atomic_write_u64(&counters->owner, 0);
	for (int i = 0; i < SIERRA_COUNTERS; i++)
		pg_atomic_write_u64(&counters->value[i], 0);
	pg_write_barrier();
	pg_atomic_write_u64(&counters->owner, owner);
}

/* The counters of an owner, or NULL; the caller holds the lock. */
static SierraCounters *
find(uint64 owner)
{
	for (int i = 0; i < sierra_shared->counters_used; i++)
	{
		if (pg_atomic_read_u64(&sierra_counters[i].owner) == owner)
			return &sierra_counters[i];
	}
	return NULL;
}

static SierraCounters *
find_or_take(uint64 owner)
{
	SierraCounters *found = find(owner);

	if (found != NULL)
		return found;
	found = find(0);
	if (found == NULL && sierra_shared->counters_used < sierra_guc_max_databases)
		found = &sierra_counters[sierra_shared->counters_used++];
	if (found != NULL)
		give(found, owner);
	return found;
}

/* Looks into the catalog, so without the lock. */
void
sierra_counters_free_dropped(void)
{
	for (int i = 0; i < sierra_guc_max_databases; i++)
	{
		uint64 owner = pg_atomic_read_u64(&sierra_counters[i].owner);

		if (owner != 0 && is_dropped(owner))
			(void) pg_atomic_compare_exchange_u64(&sierra_counters[i].owner, &owner, 0);
	}
}

static SierraCounters *
take_locked(uint64 owner)
{
	SierraCounters *found;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	found = find_or_take(owner);
	LWLockRelease(sierra_shared->lock);
	return found;
}

/* The counters of a store; NULL without shared memory, or if too many stores have some. */
static SierraCounters *
counters_of(const SierraStore *store)
{
	uint64 owner = owner_of(MyDatabaseId, store->schema);

	if (last_owner == owner && (last == NULL || pg_atomic_read_u64(&last->owner) == owner))
		return last;
	if (sierra_shared_own_slot() == NULL)
		return NULL;
	last_owner = owner;
	last = take_locked(owner);
	if (last == NULL)
	{
		sierra_counters_free_dropped();
		last = take_locked(owner);
	}
	return last;
}

static void
add(const Noted *note, bool committed)
{
	SierraCounters *counters = note->counters;

	if (pg_atomic_read_u64(&counters->owner) != note->owner)
		return;
	if (!committed)
	{
		pg_atomic_fetch_add_u64(&counters->value[SIERRA_COUNT_ROLLED_BACK], note->appends);
		return;
	}
	pg_atomic_fetch_add_u64(&counters->value[SIERRA_COUNT_APPENDS], note->appends);
	pg_atomic_fetch_add_u64(&counters->value[SIERRA_COUNT_EVENTS], note->events);
	pg_atomic_fetch_add_u64(&counters->value[SIERRA_COUNT_BYTES], note->bytes);
}

void
sierra_counters_end(bool committed)
{
	for (int i = 0; i < noted_count; i++)
		add(&noted[i], committed);
	noted_count = 0;
}

/* A subtransaction has ended: what it noted is its parent's now, or has been rolled back. */
static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();
	int kept = 0;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (int i = 0; i < noted_count; i++)
	{
		if (noted[i].level >= level && event == SUBXACT_EVENT_ABORT_SUB)
		{
			add(&noted[i], false);
			continue;
		}
		noted[kept] = noted[i];
		noted[kept].level = Min(noted[kept].level, level - 1);
		kept++;
	}
	noted_count = kept;
}

static void
register_callback(void)
{
	static bool registered = false;

	if (!registered)
		RegisterSubXactCallback(end_of_subtransaction, NULL);
	registered = true;
}

/* Where a store notes its appends at the current level; the last entry nearly always fits. */
static Noted *
find_noted(SierraCounters *counters, uint64 owner)
{
	int level = GetCurrentTransactionNestLevel();

	for (int i = noted_count - 1; i >= 0; i--)
	{
		if (noted[i].counters == counters && noted[i].level == level)
			return &noted[i];
	}
	/* There is no room: what is noted first counts as committed, before it is. */
	if (noted_count == lengthof(noted))
	{
		add(&noted[0], true);
		noted[0] = noted[--noted_count];
	}
	noted[noted_count] = (Noted){.counters = counters, .owner = owner, .level = level};
	return &noted[noted_count++];
}

void
sierra_counters_note_appends(const SierraStore *store, int64 appends, int64 events, int64 bytes)
{
	SierraCounters *counters = counters_of(store);
	Noted *note;

	if (counters == NULL)
		return;
	register_callback();
	note = find_noted(counters, last_owner);
	note->appends += appends;
	note->events += events;
	note->bytes += bytes;
}

void
sierra_counters_count(const SierraStore *store, SierraCounter counter)
{
	SierraCounters *counters = counters_of(store);

	if (counters != NULL)
		pg_atomic_fetch_add_u64(&counters->value[counter], 1);
}

bool
sierra_counters_copy(Oid schema, uint64 *values)
{
	SierraCounters *counters;

	if (sierra_shared == NULL)
		return false;
	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	counters = find(owner_of(MyDatabaseId, schema));
	for (int i = 0; i < SIERRA_COUNTERS && counters != NULL; i++)
		values[i] = pg_atomic_read_u64(&counters->value[i]);
	LWLockRelease(sierra_shared->lock);
	return counters != NULL;
}

void
sierra_counters_forget(Oid database)
{
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < sierra_shared->counters_used; i++)
	{
		if ((Oid) (pg_atomic_read_u64(&sierra_counters[i].owner) >> 32) == database)
			pg_atomic_write_u64(&sierra_counters[i].owner, 0);
	}
	LWLockRelease(sierra_shared->lock);
}
