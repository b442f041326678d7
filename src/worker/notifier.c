/*
 * notifier.c
 *		The notifier of a database: wakes sessions that wait for events, and sends NOTIFY.
 *
 * It is one loop.  When the doorbell rang, it wakes the sessions that wait at
 * once, and remembers which stores rang.  It looks at these stores and sends
 * their notifications in one transaction, a round, at least
 * sierra_es.notify_interval after the last round.  Every
 * sierra_es.sweep_interval it looks at all stores, for events that did not
 * ring: a sweep.
 *
 * Sessions that append set its latch only while the slot of the database says
 * that it listens.  It does not listen for a moment after it woke sessions, and
 * if nobody waits, not before the next round may begin.  So under load one
 * wake-up serves many commits.
 *
 * It ends by itself when the extension is dropped, and when a statement needs
 * the database for itself (process_utility.c).  If it ends for another reason,
 * the launcher starts it again.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/compat.h"
#include "base/guc.h"
#include "store/extension.h"
#include "wakeup/doorbell.h"
#include "worker/background.h"
#include "worker/notifier.h"
#include "worker/process_utility.h"
#include "worker/runner_pool.h"
#include "worker/store_watch.h"
#include "worker/worker_launcher.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proclist.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* After it woke sessions, the notifier does not listen for this time, in milliseconds. */
#define REST_MS 1

/*
 * The pause after a round, or a sweep, is at least this many times its
 * duration.  So rounds take at most a tenth of the time, and sweeps a
 * hundredth.
 */
#define ROUND_PAUSE_FACTOR 9
#define SWEEP_PAUSE_FACTOR 99

/* A notifier that ran for this time, in milliseconds, did not fail to start. */
#define STARTED_WELL_MS 10000

/*
 * The pause before the next start, from the second failure in a row on, in
 * milliseconds.  It doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

static SierraDatabaseSlot *slot = NULL;
static MemoryContext round_context = NULL;

/* The state of the loop. */
static struct
{
	uint64 wakeups_handled; /* the count of wake-ups when it last woke the sessions that wait */
	SierraRings rings;		/* stores to look at in the next round */
	TimestampTz rest_until;
	TimestampTz round_due; /* the next round does not begin earlier */
	TimestampTz sweep_due;
} loop;

/* It ended by its own decision, which is not a failure; left_as is the state that remains. */
static bool left = false;
static SierraNotifierState left_as = SIERRA_NOTIFIER_NONE;

void
sierra_background_preload(void)
{
	sierra_shared_request();
	sierra_process_utility_install();
	sierra_launcher_register();
}

/*
 * Says that there is no notifier now, to the launcher and to the sessions that
 * wait.  After the first failure, the launcher starts another at once.
 */
static void
detach(int code, Datum arg)
{
	SierraNotifierInfo *info = &slot->notifier;
	TimestampTz now = GetCurrentTimestamp();
	int64 delay = 0;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&slot->has_notifier, 0);
	SpinLockAcquire(&slot->mutex);
	slot->notifier_latch = NULL;
	SpinLockRelease(&slot->mutex);
	info->pid = 0;
	info->state = left ? left_as : SIERRA_NOTIFIER_WANTED;
	if (left || TimestampDifferenceExceeds(info->started, now, STARTED_WELL_MS))
		info->failures = 0;
	if (!left)
	{
		if (info->failures > 0)
			delay = sierra_backoff(info->failures, RETRY_MS, RETRY_MAX_MS);
		info->failures++;
	}
	info->retry_at = now + delay * 1000;
	pg_atomic_write_u32(&slot->listener, info->state == SIERRA_NOTIFIER_NONE
											 ? SIERRA_LISTENER_LAUNCHER
											 : SIERRA_LISTENER_NONE);
	LWLockRelease(sierra_shared->lock);
	ConditionVariableBroadcast(&slot->waiters);
	sierra_doorbell_call_launcher();
}

static void
leave(SierraNotifierState state)
{
	left = true;
	left_as = state;
	proc_exit(0);
}

static void
attach(void)
{
	SierraNotifierInfo *info;

	slot = sierra_shared_own_slot();
	if (slot == NULL)
	{
		ereport(LOG, errmsg("sierra_es has no room to watch database %u", MyDatabaseId),
				errdetail("At most %d databases can be watched.", SIERRA_DATABASES_MAX));
		proc_exit(0);
	}
	info = &slot->notifier;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	if (info->pid != 0)
	{
		LWLockRelease(sierra_shared->lock);
		proc_exit(0);
	}
	info->pid = MyProcPid;
	info->state = SIERRA_NOTIFIER_RUNNING;
	info->started = GetCurrentTimestamp();
	SpinLockAcquire(&slot->mutex);
	slot->notifier_latch = MyLatch;
	SpinLockRelease(&slot->mutex);
	pg_atomic_write_u32(&slot->listener, SIERRA_LISTENER_NONE);
	pg_atomic_write_u32(&slot->has_notifier, 1);
	sierra_shared_reset_demand(slot);
	LWLockRelease(sierra_shared->lock);
	before_shmem_exit(detach, (Datum) 0);

	/* The launcher may have waited for this to visit the next database. */
	sierra_doorbell_call_launcher();
}

/*
 * No setting of the database or its owner may make the notifier run code of
 * users, wait long, or commit slowly.
 */
static void
pin_settings(void)
{
	static const SierraSetting settings[] = {
		{"search_path", ""},
		{"synchronous_commit", "off"},
		{"lock_timeout", "100ms"},
		{"row_security", "off"},
	};

	sierra_background_pin(settings, lengthof(settings));
}

/*
 * Removes rings that need no NOTIFY.  With sierra_es.notify = off there are no
 * sweeps, which otherwise have to know about them.
 */
static void
drop_silent_rings(void)
{
	int kept = 0;

	for (int i = 0; i < loop.rings.count; i++)
	{
		if (loop.rings.store[i].notify)
			loop.rings.store[kept++] = loop.rings.store[i];
	}
	loop.rings.count = kept;
}

/* Wakes the sessions that wait, if the doorbell rang. */
static void
wake_waiters(void)
{
	uint64 count = pg_atomic_read_u64(&slot->wakeups);
	TimestampTz now;

	if (count == loop.wakeups_handled)
		return;
	loop.wakeups_handled = count;
	ConditionVariableBroadcast(&slot->waiters);
	pg_atomic_write_u64(&slot->wakeups_handled, count);
	sierra_pool_call(slot);
	now = GetCurrentTimestamp();
	loop.rest_until = TimestampTzPlusMilliseconds(now, REST_MS);

	SpinLockAcquire(&slot->mutex);
	sierra_doorbell_add_rings(&loop.rings, &slot->rings);
	slot->rings.count = 0;
	slot->rings.overflow = false;
	slot->notifier.last_wake = now;
	SpinLockRelease(&slot->mutex);
	if (sierra_guc_notify == SIERRA_NOTIFY_OFF)
		drop_silent_rings();
}

/* Called between looks at many stores. */
static void
wake_waiters_between(void)
{
	if (GetCurrentTimestamp() >= loop.rest_until)
		wake_waiters();
}

/* Looks at stores and sends notifications, in one transaction; returns how many were sent. */
static int
look_and_notify(const SierraRings *rings, bool everything)
{
	int sent = 0;

	sierra_background_begin("looking for new events");
	if (!sierra_extension_exists())
	{
		sierra_background_end();
		leave(SIERRA_NOTIFIER_NONE);
	}
	sent += sierra_watch_rings(rings, wake_waiters_between);
	if (everything && sierra_guc_notify != SIERRA_NOTIFY_OFF)
		sent += sierra_watch_all(wake_waiters_between);
	else
		sent += sierra_watch_again(wake_waiters_between);
	sierra_background_end();
	return sent;
}

static void
remember_error(const char *message)
{
	SierraNotifierInfo *info = &slot->notifier;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	strlcpy(info->last_error, message, SIERRA_NOTIFIER_ERROR_MAX);
	info->last_error_at = GetCurrentTimestamp();
	LWLockRelease(sierra_shared->lock);
}

/* Reports an error and continues; the rings are kept for the next round. */
static void
survive_error(const SierraRings *rings)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(round_context);
	error = CopyErrorData();
	EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	pgstat_report_activity(STATE_IDLE, NULL);
	remember_error(error->message);
	sierra_doorbell_add_rings(&loop.rings, rings);
	loop.round_due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), sierra_guc_sweep_interval);
	RESUME_INTERRUPTS();
}

/*
 * A round, or with everything a sweep.  When the next one is due depends on how
 * long this took.
 */
static void
do_round(bool everything)
{
	SierraRings rings = loop.rings;
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz ended;
	volatile int sent = 0;
	bool volatile failed = false;

	loop.rings.count = 0;
	loop.rings.overflow = false;
	PG_TRY();
	{
		sent = look_and_notify(&rings, everything || rings.overflow);
	}
	PG_CATCH();
	{
		survive_error(&rings);
		failed = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(round_context);
	MemoryContextReset(round_context);

	ended = GetCurrentTimestamp();
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot->notifier.notifications += sent;
	if (sent > 0)
		slot->notifier.last_notify = ended;
	if (everything)
		slot->notifier.last_sweep = ended;
	LWLockRelease(sierra_shared->lock);
	/* The events that a sweep found did not ring, so no runner has been called for them. */
	if (everything && sent > 0)
		sierra_pool_call(slot);
	if (everything)
		loop.sweep_due = Max(TimestampTzPlusMilliseconds(began, sierra_guc_sweep_interval),
							 ended + (ended - began) * SWEEP_PAUSE_FACTOR);
	if (!failed)
		loop.round_due = Max(TimestampTzPlusMilliseconds(began, sierra_guc_notify_interval),
							 ended + (ended - began) * ROUND_PAUSE_FACTOR);
}

/* When the next round is due; DT_NOEND if there is nothing to look at. */
static TimestampTz
round_due(void)
{
	if (loop.rings.count > 0 || loop.rings.overflow)
		return loop.round_due;
	return Max(loop.round_due, sierra_watch_due());
}

/* Does a session wait at this moment?  The answer can be out of date. */
static bool
somebody_waits(void)
{
	bool empty;

	SpinLockAcquire(&slot->waiters.mutex);
	empty = proclist_is_empty(&slot->waiters.wakeup);
	SpinLockRelease(&slot->waiters.mutex);
	return !empty;
}

/*
 * Sleeps until something is due, or, if it listens, until the doorbell rings.
 * If no session waits, it does not listen before the next round may begin.
 */
static void
sleep_until_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = Min(loop.sweep_due, round_due());

	if (now < loop.rest_until)
		due = Min(due, loop.rest_until);
	else if (now < loop.round_due && !somebody_waits())
		due = Min(due, loop.round_due);
	else
	{
		/* A full barrier: a session that rings later sees that this process listens. */
		(void) pg_atomic_exchange_u32(&slot->listener, SIERRA_LISTENER_NOTIFIER);
		if (pg_atomic_read_u64(&slot->wakeups) != loop.wakeups_handled)
			return;
	}
	if (due <= now)
		return;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(TimestampDifferenceMilliseconds(now, due), INT_MAX),
					 sierra_compat_wait_event("SierraNotifier"));
	ResetLatch(MyLatch);
}

static void
run(void)
{
	loop.round_due = loop.sweep_due = 0;
	loop.rest_until = 0;
	for (;;)
	{
		TimestampTz now;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			loop.sweep_due = 0;
		}
		if (sierra_shared_is_held(MyDatabaseId))
			leave(SIERRA_NOTIFIER_WANTED);
		now = GetCurrentTimestamp();
		if (now >= loop.rest_until)
			wake_waiters();
		if (now >= loop.sweep_due)
			do_round(true);
		else if (now >= round_due())
			do_round(false);
		sleep_until_due();
	}
}

/* Ends the process before it is ready. */
static void
resign(Oid database, SierraNotifierState state)
{
	SierraDatabaseSlot *known;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	known = sierra_shared_find_slot(database);
	if (known != NULL && known->notifier.state == SIERRA_NOTIFIER_STARTING)
	{
		known->notifier.state = state;
		if (state == SIERRA_NOTIFIER_NONE)
			pg_atomic_write_u32(&known->listener, SIERRA_LISTENER_LAUNCHER);
	}
	LWLockRelease(sierra_shared->lock);
	proc_exit(0);
}

void
sierra_notifier_main(Datum argument)
{
	Oid database = DatumGetObjectId(argument);
	bool installed;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	/* To connect to a database that a statement needs for itself would delay the statement. */
	if (sierra_shared_is_held(database))
		resign(database, SIERRA_NOTIFIER_WANTED);

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pin_settings();
	sierra_background_begin("looking for new events");
	installed = sierra_extension_exists();
	sierra_background_end();
	if (!installed)
		resign(database, SIERRA_NOTIFIER_NONE);
	attach();
	round_context =
		AllocSetContextCreate(TopMemoryContext, "sierra_es notifier", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round_context);
	run();
}
