/*
 * shared.c
 *		All shared memory of the extension: a slot for each database, for each runner
 *		and for each backend, and counters of stores.
 *
 * One LWLock protects it and is not taken often: commits use only atomics and the
 * spinlock of the slot of their database.
 */
#include "postgres.h"

#include "wakeup/shared.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

SierraShared *sierra_shared = NULL;
SierraDatabaseSlot *sierra_slots = NULL;
SierraCounters *sierra_counters = NULL;
SierraProgress *sierra_progress_places = NULL;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

#define TRANCHE_NAME "sierra_es"

static Size
slots_offset(void)
{
	return MAXALIGN(add_size(offsetof(SierraShared, announcement),
							 mul_size(MaxBackends, sizeof(SierraAnnouncement))));
}

static Size
counters_offset(void)
{
	return MAXALIGN(
		add_size(slots_offset(), mul_size(sierra_guc_max_databases, sizeof(SierraDatabaseSlot))));
}

static Size
progress_offset(void)
{
	return MAXALIGN(
		add_size(counters_offset(), mul_size(sierra_guc_max_databases, sizeof(SierraCounters))));
}

static Size
memory_size(void)
{
	return add_size(progress_offset(), mul_size(MaxBackends, sizeof(SierraProgress)));
}

static void
request_memory(void)
{
	if (next_shmem_request_hook != NULL)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(memory_size()));
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

static void
init_slot(SierraDatabaseSlot *slot)
{
	slot->database = InvalidOid;
	pg_atomic_init_u64(&slot->wakeups, 0);
	pg_atomic_init_u32(&slot->listeners, 0);
	pg_atomic_init_u64(&slot->wakeups_handled, 0);
	pg_atomic_init_u64(&slot->jobs_made, 0);
	pg_atomic_init_u64(&slot->woken_at, 0);
	pg_atomic_init_u64(&slot->jobs_run, 0);
	pg_atomic_init_u64(&slot->jobs_failed, 0);
	pg_atomic_init_u64(&slot->jobs_handled, 0);
	pg_atomic_init_u32(&slot->progress_waiters, 0);
	pg_atomic_init_u32(&slot->demand.called, 0);
	ConditionVariableInit(&slot->waiters);
	SpinLockInit(&slot->mutex);
}

static void
init_arrays(void)
{
	for (int i = 0; i < sierra_guc_max_databases; i++)
	{
		init_slot(&sierra_slots[i]);
		pg_atomic_init_u64(&sierra_counters[i].owner, 0);
		for (int j = 0; j < SIERRA_COUNTERS; j++)
			pg_atomic_init_u64(&sierra_counters[i].value[j], 0);
	}
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		pg_atomic_init_u32(&sierra_shared->runner[i].leave, 0);
		pg_atomic_init_u32(&sierra_shared->runner[i].stuck, SIERRA_NOT_STUCK);
		pg_atomic_init_u64(&sierra_shared->runner[i].active_at, 0);
	}
	for (int i = 0; i < MaxBackends; i++)
	{
		pg_atomic_init_u32(&sierra_shared->announcement[i].transaction, InvalidLocalTransactionId);
		SpinLockInit(&sierra_progress_places[i].mutex);
	}
}

static void
attach_memory(void)
{
	bool found;

	if (next_shmem_startup_hook != NULL)
		next_shmem_startup_hook();

	/* After a crash of a process the postmaster calls this again. */
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	sierra_shared = ShmemInitStruct("sierra_es doorbell", memory_size(), &found);
	sierra_slots = (SierraDatabaseSlot *) ((char *) sierra_shared + slots_offset());
	sierra_counters = (SierraCounters *) ((char *) sierra_shared + counters_offset());
	sierra_progress_places = (SierraProgress *) ((char *) sierra_shared + progress_offset());
	if (!found)
	{
		memset(sierra_shared, 0, memory_size());
		sierra_shared->lock = &(GetNamedLWLockTranche(TRANCHE_NAME))->lock;
		SpinLockInit(&sierra_shared->mutex);
		pg_atomic_init_u32(&sierra_shared->waiting, 0);
		pg_atomic_init_u32(&sierra_shared->list_databases, 0);
		init_arrays();
	}
	sierra_early_release_attach(&sierra_shared->early.release, found);
	LWLockRelease(AddinShmemInitLock);
}

void
sierra_shared_request(void)
{
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}

SierraDatabaseSlot *
sierra_shared_find_slot(Oid database)
{
	for (int i = 0; i < sierra_shared->slots_used; i++)
	{
		if (sierra_slots[i].database == database)
			return &sierra_slots[i];
	}
	return NULL;
}

/* A free slot for a database, or NULL.  Until a ring, nothing shows that it needs a runner. */
static SierraDatabaseSlot *
take_free_slot(Oid database)
{
	SierraDatabaseSlot *slot = sierra_shared_find_slot(InvalidOid);

	if (slot == NULL && sierra_shared->slots_used < sierra_guc_max_databases)
		slot = &sierra_slots[sierra_shared->slots_used++];
	if (slot == NULL)
		return NULL;
	memset(&slot->rounds, 0, sizeof(SierraRounds));
	slot->demand.no_extension = slot->demand.wants_help = false;
	slot->demand.due_at = SIERRA_NEVER;
	slot->demand.retry_at = slot->demand.left_at = slot->demand.waits_since = 0;
	slot->demand.failures = 0;
	slot->demand.backlog = slot->demand.visit_pause_ms = 0;
	slot->demand.next = slot->demand.last = (SierraJobOwner){InvalidOid, InvalidOid};
	pg_atomic_write_u32(&slot->demand.called, 0);
	pg_atomic_write_u64(&slot->jobs_run, 0);
	pg_atomic_write_u64(&slot->jobs_failed, 0);
	pg_atomic_write_u64(&slot->jobs_handled, 0);
	slot->round_due = slot->sweep_due = 0;
	slot->database = database;
	pg_atomic_write_u32(&slot->listeners, SIERRA_LISTEN_LAUNCHER);
	return slot;
}

/* Remembers, or forgets, that a database got no slot; true if it was not known. */
static bool
note_refusal(Oid database, bool refused)
{
	for (int i = 0; i < SIERRA_REFUSED_MAX; i++)
	{
		if (sierra_shared->refused[i] == database)
		{
			if (!refused)
				sierra_shared->refused[i] = InvalidOid;
			return false;
		}
	}
	for (int i = 0; i < SIERRA_REFUSED_MAX && refused; i++)
	{
		if (!OidIsValid(sierra_shared->refused[i]))
		{
			sierra_shared->refused[i] = database;
			return true;
		}
	}
	return false;
}

SierraDatabaseSlot *
sierra_shared_slot(Oid database)
{
	SierraDatabaseSlot *slot;
	bool log_refusal = false;

	if (sierra_shared == NULL)
		return NULL;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	if (slot == NULL)
	{
		slot = take_free_slot(database);
		log_refusal = note_refusal(database, slot == NULL) && slot == NULL;
	}
	LWLockRelease(sierra_shared->lock);
	if (log_refusal)
		ereport(LOG, errmsg("sierra_es has no place for database %u", database),
				errdetail("At most %d databases can have one.  In this database nothing sends "
						  "NOTIFY, no timer, saga or projection runs, and sessions that wait for "
						  "events poll.",
						  sierra_guc_max_databases),
				errhint("Increase \"sierra_es.max_databases\"."));
	return slot;
}

/* Looks the slot up once: a session does not change its database, nor outlive it. */
SierraDatabaseSlot *
sierra_shared_own_slot(void)
{
	static SierraDatabaseSlot *slot = NULL;
	static bool known = false;

	if (!known)
	{
		slot = sierra_shared_slot(MyDatabaseId);
		known = true;
	}
	return slot;
}

void
sierra_shared_forget_slot(Oid database)
{
	SierraDatabaseSlot *slot;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	(void) note_refusal(database, false);
	slot = sierra_shared_find_slot(database);
	if (slot != NULL)
	{
		slot->database = InvalidOid;
		SpinLockAcquire(&slot->mutex);
		memset(&slot->rings, 0, sizeof(SierraRings));
		slot->round_due = slot->sweep_due = 0;
		SpinLockRelease(&slot->mutex);
	}
	LWLockRelease(sierra_shared->lock);
}

bool
sierra_shared_is_held_locked(Oid database)
{
	for (int i = 0; i < SIERRA_HOLDS_MAX; i++)
	{
		if (sierra_shared->hold[i].database == database)
			return true;
	}
	return false;
}

bool
sierra_shared_is_held(Oid database)
{
	bool held;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	held = sierra_shared_is_held_locked(database);
	LWLockRelease(sierra_shared->lock);
	return held;
}
