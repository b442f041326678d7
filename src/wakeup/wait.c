/*
 * wait.c
 *		Waiting for events: sleeps until there may be something new.
 *
 * With a bell and a worker that answers it, who waits sleeps on the bell's
 * condition variable.  He read the bell's count before he looked for events, and
 * compares it once he is in the queue of the condition variable: a commit that
 * rang in between is noticed, one that rings later wakes him.  Some things
 * ring no bell, so he looks again at least every sierra_es.sweep_interval.
 *
 * The bell rings a moment before the appender's locks go, and these can hold
 * back who reads the whole store.  So after a ring the first sleep is as short as
 * without a bell.
 *
 * Without a bell, and on a standby, he looks every sierra_es.poll_interval.
 *
 * Each waiting session holds one of sierra_es.max_waiters places.  A place is
 * a heavyweight lock of its own class, because that works without shared memory
 * of our own, shows in pg_locks, and goes with the transaction on an error.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "wakeup/doorbell.h"
#include "wakeup/wait.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/lock.h"

/* The class ("objsubid") of the places; that of partition locks is 0x5E5. */
#define PLACE_LOCK_CLASS 0x5E7

static void
set_place_tag(LOCKTAG *tag, int place)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, place, 0, PLACE_LOCK_CLASS);
}

/* A place of this transaction's own, as of a wait around this one, is taken too. */
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

/* Starts to look where others do not, so that few places are tried. */
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
			errhint("Look without waiting, or increase \"sierra_es.max_waiters\"."));
}

void
sierra_wait_begin(SierraWaiter *waiter)
{
	waiter->place = find_place();
	waiter->slot = sierra_shared_own_slot();
	waiter->wakeups = 0;
	waiter->woken = false;
	if (waiter->slot != NULL)
	{
		sierra_doorbell_want_notifier(waiter->slot);
		waiter->wakeups = pg_atomic_read_u64(&waiter->slot->wakeups);
	}

	/* What the caller looks at next is not older than the count. */
	pg_memory_barrier();
}

void
sierra_wait_end(SierraWaiter *waiter)
{
	LOCKTAG tag;

	set_place_tag(&tag, waiter->place);
	LockRelease(&tag, ExclusiveLock, false);
}

/* In milliseconds, rounded up: not to wake a moment before a deadline. */
static long
milliseconds_until(TimestampTz now, TimestampTz then)
{
	int64 microseconds = then - now;

	return (long) Min((microseconds + 999) / 1000, (int64) INT_MAX);
}

/* Sleeps without a bell.  Returns early when the latch is set for any reason. */
static void
sleep_alone(long timeout)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout,
					 sierra_compat_wait_event("SierraEvents"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Sleeps unless the bell rang; true if it rang. */
static bool
sleep_at_doorbell(SierraWaiter *waiter, long timeout)
{
	SierraDatabaseSlot *slot = waiter->slot;
	uint64 wakeups;

	ConditionVariablePrepareToSleep(&slot->waiters);
	sierra_doorbell_want_wakeup(slot);
	if (pg_atomic_read_u64(&slot->wakeups) == waiter->wakeups)
		(void) ConditionVariableTimedSleep(&slot->waiters, timeout,
										   sierra_compat_wait_event("SierraEvents"));
	ConditionVariableCancelSleep();
	wakeups = pg_atomic_read_u64(&slot->wakeups);
	pg_memory_barrier();
	if (wakeups == waiter->wakeups)
		return false;
	waiter->wakeups = wakeups;
	return true;
}

bool
sierra_wait_next(SierraWaiter *waiter, TimestampTz deadline)
{
	TimestampTz now = GetCurrentTimestamp();
	long timeout = INT_MAX;
	bool has_notifier;

	CHECK_FOR_INTERRUPTS();
	if (now >= deadline)
		return false;
	if (deadline != DT_NOEND)
		timeout = milliseconds_until(now, deadline);

	has_notifier = waiter->slot != NULL && pg_atomic_read_u32(&waiter->slot->has_notifier) != 0 &&
				   !RecoveryInProgress();
	if (!has_notifier)
		sleep_alone(Min(timeout, sierra_guc_poll_interval));
	else
	{
		long nap = waiter->woken ? sierra_guc_poll_interval : sierra_guc_sweep_interval;

		waiter->woken = sleep_at_doorbell(waiter, Min(timeout, nap));
	}
	return true;
}
