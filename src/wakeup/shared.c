/*
 * shared.c
 *		All shared memory of the extension: what there is about each database, and
 *		the slots of runners.
 *
 * One lock for all of it, taken seldom; what commits touch are atomics and a
 * spinlock of the database's slot.
 */
#include "postgres.h"

#include "wakeup/shared.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

SierraDoorbell *sierra_doorbell = NULL;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

#define TRANCHE_NAME "sierra_es"

static void
request_memory(void)
{
	if (next_shmem_request_hook != NULL)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SierraDoorbell)));
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

static void
init_bell(SierraBell *bell)
{
	bell->database = InvalidOid;
	pg_atomic_init_u64(&bell->generation, 0);
	pg_atomic_init_u32(&bell->listener, SIERRA_LISTENER_NONE);
	pg_atomic_init_u64(&bell->heard, 0);
	pg_atomic_init_u32(&bell->answered, 0);
	pg_atomic_init_u32(&bell->awaiting, 0);
	pg_atomic_init_u32(&bell->want.called, 1);
	pg_atomic_init_u32(&bell->want.present, 0);
	pg_atomic_init_u64(&bell->want.made, 0);
	ConditionVariableInit(&bell->rung);
	SpinLockInit(&bell->mutex);
}

static void
attach_memory(void)
{
	bool found;

	if (next_shmem_startup_hook != NULL)
		next_shmem_startup_hook();

	/* A crash of a process makes the postmaster come here again. */
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	sierra_doorbell = ShmemInitStruct("sierra_es doorbell", sizeof(SierraDoorbell), &found);
	if (!found)
	{
		memset(sierra_doorbell, 0, sizeof(SierraDoorbell));
		sierra_doorbell->lock = &(GetNamedLWLockTranche(TRANCHE_NAME))->lock;
		SpinLockInit(&sierra_doorbell->mutex);
		pg_atomic_init_u32(&sierra_doorbell->waiting, 0);
		for (int i = 0; i < SIERRA_BELLS; i++)
			init_bell(&sierra_doorbell->bell[i]);
		for (int i = 0; i < SIERRA_RUNNERS; i++)
			pg_atomic_init_u32(&sierra_doorbell->runner[i].leave, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
sierra_doorbell_request(void)
{
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}

SierraBell *
sierra_doorbell_find(Oid database)
{
	for (int i = 0; i < SIERRA_BELLS; i++)
	{
		if (sierra_doorbell->bell[i].database == database)
			return &sierra_doorbell->bell[i];
	}
	return NULL;
}

void
sierra_pool_welcome(SierraBell *bell)
{
	bell->want.due_at = bell->want.retry_at = 0;
	bell->want.failures = 0;
	pg_atomic_write_u32(&bell->want.called, 1);
}

/* The first ring of a new bell calls the launcher. */
SierraBell *
sierra_doorbell_bell(Oid database)
{
	SierraBell *bell;

	if (sierra_doorbell == NULL)
		return NULL;
	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	bell = sierra_doorbell_find(database);
	if (bell == NULL)
	{
		bell = sierra_doorbell_find(InvalidOid);
		if (bell != NULL)
		{
			memset(&bell->worker, 0, sizeof(SierraWorkerInfo));
			sierra_pool_welcome(bell);
			bell->want.left_at = 0;
			bell->want.backlog = 0;
			bell->database = database;
			pg_atomic_write_u32(&bell->listener, SIERRA_LISTENER_LAUNCHER);
		}
	}
	LWLockRelease(sierra_doorbell->lock);
	return bell;
}

/* Looked up once: no session outlives its database. */
SierraBell *
sierra_doorbell_own(void)
{
	static SierraBell *bell = NULL;
	static bool known = false;

	if (!known)
	{
		bell = sierra_doorbell_bell(MyDatabaseId);
		known = true;
	}
	return bell;
}

void
sierra_doorbell_forget(Oid database)
{
	SierraBell *bell;

	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	bell = sierra_doorbell_find(database);
	if (bell != NULL)
	{
		bell->database = InvalidOid;
		SpinLockAcquire(&bell->mutex);
		memset(&bell->rings, 0, sizeof(SierraRings));
		SpinLockRelease(&bell->mutex);
	}
	LWLockRelease(sierra_doorbell->lock);
}

bool
sierra_exclusive_is_held(Oid database)
{
	for (int i = 0; i < SIERRA_HOLDS; i++)
	{
		if (sierra_doorbell->hold[i].database == database)
			return true;
	}
	return false;
}
