/*
 * wait.c
 *		Waits for events: sleeps until there may be new ones.
 *
 * A session that waits sleeps on the condition variable of the database slot.  It
 * reads the count of wake-ups before it looks for events, and compares it after it has
 * entered the queue of the condition variable.  So it notices a commit that rang the
 * doorbell in between, and a later one wakes it.  Some events do not ring the doorbell
 * (see doorbell.c), so the session looks again at least every
 * sierra_es.sweep_interval.
 *
 * The locks of other appends in flight can hold back a session that reads the whole
 * store, for a moment.  So the first sleep after a wake-up takes at most
 * sierra_es.poll_interval.
 *
 * Without a slot, and on a standby, a session looks every sierra_es.poll_interval.
 *
 * Each session that waits holds one of the sierra_es.max_waiters places.  A place is
 * a heavyweight lock of its own class.  Such a lock works without shared memory of our
 * own, pg_locks shows it, and an error releases it together with the transaction.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "wakeup/doorbell.h"
#include "wakeup/wait.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/lock.h"

/* The class ("objsubid") of the locks for places; that of partition locks is 0x5E5. */
#define PLACE_LOCK_CLASS 0x5E7

static void
set_place_tag(LOCKTAG *tag, int place)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, place, 0, PLACE_LOCK_CLASS);
}

/* False also if this transaction itself has the place, for a wait around this one. */
static bool
take_place(int place)
{
	LOCKTAG tag;
	LockAcquireResult result;

	set_place_tag(&tag, place);
	result = LockAcquire(&tag, ExclusiveLock, false, true);
	if (result == LOCKACQUIRE_ALREADY_HELD)
		LockRelease(&tag, ExclusiveLock, false);
	return result == LOCKACQUIRE_OK;
}

/* Sessions begin with different places, so that most find a free one at once. */
static int
find_place(void)
{
	for (int i = 0; i < sierra_guc_max_waiters; i++)
	{
		int place = (MyProcPid + i) % sierra_guc_max_waiters;

		if (take_place(place))
			return place;
	}
	ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			errmsg("too many sessions wait for events"),
			errdetail("At most %d sessions of a database may wait.", sierra_guc_max_waiters),
			errhint("Read without waiting, or increase \"sierra_es.max_waiters\"."));
}

void
sierra_wait_begin(SierraWaiter *waiter)
{
	waiter->place = find_place();
	waiter->slot = sierra_shared_own_slot();
	waiter->wakeups = 0;
	waiter->woken = false;
	if (waiter->slot != NULL)
		waiter->wakeups = pg_atomic_read_u64(&waiter->slot->wakeups);

	/* The caller must not look for events before the count has been read. */
	pg_memory_barrier();
}

void
sierra_wait_end(SierraWaiter *waiter)
{
	LOCKTAG tag;

	set_place_tag(&tag, waiter->place);
	LockRelease(&tag, ExclusiveLock, false);
}

/* Sleeps until the timeout, or until the latch of this process is set for any reason. */
static void
sleep_alone(long timeout)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout,
					 sierra_compat_wait_event("SierraEvents"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Sleeps unless the doorbell has rung; true if it has, before or during the sleep. */
static bool
sleep_at_doorbell(SierraWaiter *waiter, SierraTime until)
{
	SierraDatabaseSlot *slot = waiter->slot;
	uint64 wakeups;

	for (;;)
	{
		SierraTime now = sierra_now();

		wakeups = pg_atomic_read_u64(&slot->wakeups);
		if (wakeups != waiter->wakeups || now >= until)
			break;
		sierra_doorbell_sleep(slot, waiter->wakeups, sierra_ms_until(now, until), false,
							  sierra_compat_wait_event("SierraEvents"));
	}
	pg_memory_barrier();
	if (wakeups == waiter->wakeups)
		return false;
	waiter->wakeups = wakeups;
	return true;
}

bool
sierra_wait_next(SierraWaiter *waiter, SierraTime deadline)
{
	SierraTime now = sierra_now();
	int nap = sierra_guc_poll_interval;

	CHECK_FOR_INTERRUPTS();
	if (now >= deadline)
		return false;
	if (waiter->slot == NULL || RecoveryInProgress())
		sleep_alone(sierra_ms_until(now, Min(deadline, sierra_after_ms(now, nap))));
	else
	{
		if (!waiter->woken)
			nap = sierra_guc_sweep_interval;
		waiter->woken = sleep_at_doorbell(waiter, Min(deadline, sierra_after_ms(now, nap)));
	}
	return true;
}
