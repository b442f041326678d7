/*
 * doorbell.c
 *		The doorbell: commits of appends ring it, which wakes sessions that wait for
 *		events.
 *
 * An append only remembers, in the session, which store it wrote to.  When the
 * transaction has ended, a callback rings the doorbell: it adds the store to the
 * slot of the database in shared memory, counts a wake-up, and wakes the sessions that
 * wait (wait.c) and the runners that are idle, if there are any.  If the database has no
 * runner, it wakes the launcher, which sends one.  Runners send NOTIFY, so that sessions
 * that append spend no time on it.
 *
 * No wake-up is lost.  A session that waits reads the count of wake-ups before it
 * looks for events and compares it before it sleeps, and the events are visible before
 * the callback counts.
 *
 * Of many that ring, only one wakes the others: a ring takes the listeners out, and
 * these do not listen again before REST_MS have passed since they were woken.
 *
 * The callback runs after the partition locks are released, because they hold back
 * readers of the whole store.  The locks of a transaction that rolls back do that too,
 * so its end also rings the doorbell.
 *
 * Logical replication and the restoring of rows do not ring the doorbell.  Those that
 * wait look for such events every sierra_es.sweep_interval.
 */
#include "postgres.h"

#include "base/guc.h"
#include "store/early_release.h"
#include "store/event.h"
#include "wakeup/counters.h"
#include "wakeup/doorbell.h"
#include "wakeup/notify.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"

/* The stores that this transaction rings for, and those that it sends NOTIFY for. */
static SierraRings noted;
static SierraRings to_notify;

/* This transaction moved the cursor of a consumer forward. */
static bool progressed = false;

/* This transaction made a job for runners. */
static bool job_noted = false;

/* How the transaction has ended, until the doorbell has rung for that. */
static enum { NOT_ENDED, COMMITTED, ABORTED } end = NOT_ENDED;

/* After a ring woke those that wait, they do not listen for this time, in milliseconds. */
#define REST_MS 1

void
sierra_doorbell_call_launcher(void)
{
	Latch *latch;

	SpinLockAcquire(&sierra_shared->mutex);
	latch = sierra_shared->launcher_latch;
	SpinLockRelease(&sierra_shared->mutex);
	if (latch != NULL)
		SetLatch(latch);
}

/* Counts a wake-up and wakes these listeners; of several that ring, only one wakes them. */
static void
ring(SierraDatabaseSlot *slot, uint32 whom)
{
	uint32 listeners;

	/* A full barrier: the count is in memory before the listeners are read. */
	pg_atomic_fetch_add_u64(&slot->wakeups, 1);
	if ((pg_atomic_read_u32(&slot->listeners) & whom) == 0)
		return;
	listeners = pg_atomic_fetch_and_u32(&slot->listeners, ~whom) & whom;
	if (listeners & SIERRA_LISTEN_WAITERS)
	{
		pg_atomic_write_u64(&slot->woken_at, sierra_now());
		ConditionVariableBroadcast(&slot->waiters);
	}
	if (listeners & SIERRA_LISTEN_LAUNCHER)
		sierra_doorbell_want_runner(slot);
}

void
sierra_doorbell_want_runner(SierraDatabaseSlot *slot)
{
	pg_atomic_write_u32(&slot->demand.called, 1);
	sierra_doorbell_call_launcher();
}

void
sierra_doorbell_ring_all(SierraDatabaseSlot *slot)
{
	SpinLockAcquire(&slot->mutex);
	slot->rings.overflow = true;
	SpinLockRelease(&slot->mutex);
	ring(slot, SIERRA_LISTEN_ALL);
}

/* Sleeps for this time, or until the latch of this process is set for any reason. */
static void
sleep_alone(long timeout, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
sierra_doorbell_sleep(SierraDatabaseSlot *slot, uint64 seen, long timeout, bool by_latch,
					  uint32 wait_event)
{
	SierraTime now = sierra_now();
	SierraTime rest_until =
		sierra_after_ms((SierraTime) pg_atomic_read_u64(&slot->woken_at), REST_MS);

	if (now < rest_until)
	{
		sleep_alone(Min(timeout, sierra_ms_until(now, rest_until)), wait_event);
		return;
	}
	ConditionVariablePrepareToSleep(&slot->waiters);
	/* A full barrier: a session that rings later sees that this process listens. */
	(void) pg_atomic_fetch_or_u32(&slot->listeners, SIERRA_LISTEN_WAITERS);
	if (pg_atomic_read_u64(&slot->wakeups) == seen)
	{
		if (by_latch)
			sleep_alone(timeout, wait_event);
		else
			(void) ConditionVariableTimedSleep(&slot->waiters, timeout, wait_event);
	}
	ConditionVariableCancelSleep();
}

/* Adds a store to rings.  The callback uses this too, so it must not raise errors. */
static void
mark(SierraRings *rings, const SierraRing *store)
{
	for (int i = 0; i < rings->count; i++)
	{
		SierraRing *known = &rings->store[i];

		if (known->schema == store->schema)
		{
			known->position = Max(known->position, store->position);
			known->notify |= store->notify;
			return;
		}
	}
	if (rings->count < SIERRA_RINGS_MAX)
		rings->store[rings->count++] = *store;
	else
		rings->overflow = true;
}

void
sierra_doorbell_add_rings(SierraRings *rings, const SierraRings *more)
{
	for (int i = 0; i < more->count; i++)
		mark(rings, &more->store[i]);
	rings->overflow |= more->overflow;
}

static void
ring_noted(bool committed)
{
	SierraDatabaseSlot *slot = sierra_shared_own_slot();

	for (int i = 0; i < noted.count && !committed; i++)
		noted.store[i].position = SIERRA_NONE;
	SpinLockAcquire(&slot->mutex);
	sierra_doorbell_add_rings(&slot->rings, &noted);
	SpinLockRelease(&slot->mutex);
	if (job_noted && committed)
		pg_atomic_fetch_add_u64(&slot->jobs_made, 1);
	ring(slot, SIERRA_LISTEN_ALL);
}

/* Consumers acknowledge often, but sessions seldom wait for that, so ring only if one does. */
static void
ring_for_progress(void)
{
	SierraDatabaseSlot *slot = sierra_shared_own_slot();

	if (pg_atomic_read_u32(&slot->progress_waiters) > 0)
		ring(slot, SIERRA_LISTEN_WAITERS);
}

/*
 * For sierra_es.notify = transaction: sends one NOTIFY per store, at the end of the
 * transaction, so that all its appends share it.
 */
static void
notify_noted(void)
{
	for (int i = 0; i < to_notify.count; i++)
	{
		char *store = get_namespace_name(to_notify.store[i].schema);

		if (store != NULL)
			sierra_notify(store, to_notify.store[i].position);
	}
	to_notify.count = 0;
}

static void
forget_noted(void)
{
	noted.count = to_notify.count = 0;
	noted.overflow = to_notify.overflow = false;
	progressed = job_noted = false;
	end = NOT_ENDED;
}

/*
 * After a transaction has ended and its locks are released, so that those that are woken
 * need not wait for these locks.  An error at this point would crash the server, so the
 * code only uses shared memory.
 */
static void
ring_after_locks(ResourceReleasePhase phase, bool commits, bool top_level, void *arg)
{
	if (end == NOT_ENDED || phase != RESOURCE_RELEASE_AFTER_LOCKS || !top_level)
		return;

	/* A notification must not be about events that a crash can lose. */
	sierra_early_release_finish();
	if (noted.count > 0)
		ring_noted(end == COMMITTED);
	else if (progressed && end == COMMITTED)
		ring_for_progress();
	sierra_counters_end(end == COMMITTED);
	forget_noted();
}

/* The end of a transaction; after XACT_EVENT_COMMIT its rows are visible. */
static void
note_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE: /* PREPARE fails after NOTIFY */
			notify_noted();
			return;
		case XACT_EVENT_COMMIT:
			end = COMMITTED;
			break;
		case XACT_EVENT_ABORT:
			end = ABORTED;
			break;
		case XACT_EVENT_PREPARE:
			/* No callback says how it ends; most are committed. */
			sierra_counters_end(true);
			forget_noted();
			break;
		default:
			break;
	}
}

static void
register_callback(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(note_end, NULL);
		RegisterResourceReleaseCallback(ring_after_locks, NULL);
	}
	registered = true;
}

static void
note(const SierraStore *store, int64 position)
{
	SierraRing store_ring = {.schema = store->schema,
							 .position = position,
							 .notify = sierra_guc_notify == SIERRA_NOTIFY_RUNNER};

	if (sierra_shared_own_slot() == NULL)
		return;
	register_callback();
	mark(&noted, &store_ring);
}

void
sierra_doorbell_note_locks(const SierraStore *store)
{
	note(store, SIERRA_NONE);
}

void
sierra_doorbell_note_job(const SierraStore *store)
{
	note(store, SIERRA_NONE);
	job_noted = true;
}

void
sierra_doorbell_note_append(const SierraStore *store, int64 position)
{
	SierraRing ring = {.schema = store->schema, .position = position};

	note(store, position);
	if (sierra_guc_notify != SIERRA_NOTIFY_TRANSACTION)
		return;
	register_callback();
	mark(&to_notify, &ring);

	/* There are too many stores to remember them: send this one now. */
	if (to_notify.overflow)
		sierra_notify(NameStr(store->name), position);
	to_notify.overflow = false;
}

void
sierra_doorbell_note_progress(void)
{
	if (sierra_shared_own_slot() == NULL)
		return;
	register_callback();
	progressed = true;
}

void
sierra_doorbell_begin_await(void)
{
	SierraDatabaseSlot *slot = sierra_shared_own_slot();

	if (slot != NULL)
		pg_atomic_fetch_add_u32(&slot->progress_waiters, 1);
}

void
sierra_doorbell_end_await(void)
{
	SierraDatabaseSlot *slot = sierra_shared_own_slot();

	if (slot != NULL)
		pg_atomic_fetch_sub_u32(&slot->progress_waiters, 1);
}
