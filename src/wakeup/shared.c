/*
 * shared.c
 *		All shared memory of the extension: a slot for each database, for each runner
 *		and for each backend.
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

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

#define TRANCHE_NAME "sierra_es"

static Size
memory_size(void)
{
	return add_size(offsetof(SierraShared, announcement),
					mul_size(MaxBackends, sizeof(SierraAnnouncement)));
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
	pg_atomic_init_u32(&slot->listener, SIERRA_LISTENER_NONE);
	pg_atomic_init_u64(&slot->wakeups_handled, 0);
	pg_atomic_init_u32(&slot->has_notifier, 0);
	pg_atomic_init_u32(&slot->progress_waiters, 0);
	pg_atomic_init_u32(&slot->demand.launcher_called, 1);
	pg_atomic_init_u32(&slot->demand.has_runner, 0);
	pg_atomic_init_u64(&slot->demand.jobs_made, 0);
	ConditionVariableInit(&slot->waiters);
	SpinLockInit(&slot->mutex);
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
	if (!found)
	{
		memset(sierra_shared, 0, memory_size());
		sierra_shared->lock = &(GetNamedLWLockTranche(TRANCHE_NAME))->lock;
		SpinLockInit(&sierra_shared->mutex);
		pg_atomic_init_u32(&sierra_shared->waiting, 0);
		for (int i = 0; i < SIERRA_DATABASES_MAX; i++)
			init_slot(&sierra_shared->slot[i]);
		for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
			pg_atomic_init_u32(&sierra_shared->runner[i].leave, 0);
		for (int i = 0; i < MaxBackends; i++)
			pg_atomic_init_u32(&sierra_shared->announcement[i].transaction,
							   InvalidLocalTransactionId);
	}
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
	for (int i = 0; i < SIERRA_DATABASES_MAX; i++)
	{
		if (sierra_shared->slot[i].database == database)
			return &sierra_shared->slot[i];
	}
	return NULL;
}

void
sierra_shared_reset_demand(SierraDatabaseSlot *slot)
{
	slot->demand.due_at = slot->demand.retry_at = 0;
	slot->demand.failures = 0;
	pg_atomic_write_u32(&slot->demand.launcher_called, 1);
}

/* In a new slot the launcher is the listener: the first ring makes it start a notifier. */
SierraDatabaseSlot *
sierra_shared_slot(Oid database)
{
	SierraDatabaseSlot *slot;

	if (sierra_shared == NULL)
		return NULL;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	if (slot == NULL)
	{
		slot = sierra_shared_find_slot(InvalidOid);
		if (slot != NULL)
		{
			memset(&slot->notifier, 0, sizeof(SierraNotifierInfo));
			sierra_shared_reset_demand(slot);
			slot->demand.left_at = 0;
			slot->demand.backlog = 0;
			slot->database = database;
			pg_atomic_write_u32(&slot->listener, SIERRA_LISTENER_LAUNCHER);
		}
	}
	LWLockRelease(sierra_shared->lock);
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
	slot = sierra_shared_find_slot(database);
	if (slot != NULL)
	{
		slot->database = InvalidOid;
		SpinLockAcquire(&slot->mutex);
		memset(&slot->rings, 0, sizeof(SierraRings));
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
