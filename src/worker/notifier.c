/*
 * notifier.c
 *		The worker of a database: wakes who waits for events, and sends NOTIFY.
 *
 * One loop.  When the bell rang it wakes the sessions that wait, at once, and
 * takes note of the stores.  No sooner than sierra_es.notify_interval after the
 * last round it looks at these stores and sends their notifications in one
 * transaction.  Every sierra_es.sweep_interval it looks at all stores, for what
 * rings no bell.
 *
 * Appenders set its latch only while it says that it listens.  It does not
 * for a moment after it woke, and not until the next round if nobody waits and
 * one is due: so under load many commits cost one wake-up.
 *
 * It leaves by itself when the extension is dropped, and when a statement needs
 * the database (process_utility.c).  Whatever else ends it, the launcher starts it
 * again.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "wakeup/doorbell.h"
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
#include "store/extension.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* After it woke sessions, it does not listen for so long. */
#define REST_MS 1

/* Between rounds, and between sweeps, lies at least so many times what one took. */
#define ROUND_SHARE 9
#define SWEEP_SHARE 99

/* A worker that ran so long did not fail to start. */
#define STARTED_WELL_MS 10000
#define RETRY_MAX_MS 60000

static SierraBell *bell = NULL;
static MemoryContext round_context = NULL;

/* What the loop remembers. */
static struct
{
	uint64 heard;	   /* rings it has answered */
	SierraRings rings; /* stores that are to be looked at */
	TimestampTz rest_until;
	TimestampTz round_due; /* not before */
	TimestampTz sweep_due;
} loop;

/* What pg_stat_activity shows; looked up once. */
static uint32
wait_event(void)
{
	static uint32 event = 0;

	if (event == 0)
		event = sierra_compat_wait_event("SierraWorker");
	return event;
}

/* Left for a reason of its own: not a failure. */
static bool left = false;
static SierraWorkerState left_as = SIERRA_WORKER_NONE;

void
sierra_worker_preload(void)
{
	sierra_doorbell_request();
	sierra_exclusive_install();
	sierra_launcher_register();
}

/*
 * Tells the launcher, and who waits, that there is no worker now.  The first
 * failure is followed by a start at once.
 */
static void
detach(int code, Datum arg)
{
	SierraWorkerInfo *info = &bell->worker;
	TimestampTz now = GetCurrentTimestamp();
	int64 delay = 0;

	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&bell->answered, 0);
	SpinLockAcquire(&bell->mutex);
	bell->worker_latch = NULL;
	SpinLockRelease(&bell->mutex);
	info->pid = 0;
	info->state = left ? left_as : SIERRA_WORKER_WANTED;
	if (left || TimestampDifferenceExceeds(info->started, now, STARTED_WELL_MS))
		info->failures = 0;
	if (!left)
	{
		if (info->failures > 0)
			delay = Min(RETRY_MAX_MS, INT64CONST(1000) << Min(info->failures - 1, 10));
		info->failures++;
	}
	info->retry_at = now + delay * 1000;
	pg_atomic_write_u32(&bell->listener, info->state == SIERRA_WORKER_NONE
											 ? SIERRA_LISTENER_LAUNCHER
											 : SIERRA_LISTENER_NONE);
	LWLockRelease(sierra_doorbell->lock);
	ConditionVariableBroadcast(&bell->rung);
	sierra_doorbell_call_launcher();
}

static void
leave(SierraWorkerState state)
{
	left = true;
	left_as = state;
	proc_exit(0);
}

/* Is the database wanted by a statement? */
static bool
is_held(void)
{
	bool held;

	LWLockAcquire(sierra_doorbell->lock, LW_SHARED);
	held = sierra_exclusive_is_held(MyDatabaseId);
	LWLockRelease(sierra_doorbell->lock);
	return held;
}

static void
attach(void)
{
	SierraWorkerInfo *info;

	bell = sierra_doorbell_own();
	if (bell == NULL)
	{
		ereport(LOG, errmsg("sierra_es has no room to watch database %u", MyDatabaseId),
				errdetail("At most %d databases can be watched.", SIERRA_BELLS));
		proc_exit(0);
	}
	info = &bell->worker;
	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	if (info->pid != 0)
	{
		LWLockRelease(sierra_doorbell->lock);
		proc_exit(0);
	}
	info->pid = MyProcPid;
	info->state = SIERRA_WORKER_RUNNING;
	info->started = GetCurrentTimestamp();
	SpinLockAcquire(&bell->mutex);
	bell->worker_latch = MyLatch;
	SpinLockRelease(&bell->mutex);
	pg_atomic_write_u32(&bell->listener, SIERRA_LISTENER_NONE);
	pg_atomic_write_u32(&bell->answered, 1);
	sierra_pool_welcome(bell);
	LWLockRelease(sierra_doorbell->lock);
	before_shmem_exit(detach, (Datum) 0);

	/* It may have other databases to visit. */
	sierra_doorbell_call_launcher();
}

/*
 * Nothing of what the database or its owner sets may run code of users, wait
 * long, or make commits slow.
 */
static void
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", ""},
		{"synchronous_commit", "off"},
		{"lock_timeout", "100ms"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"row_security", "off"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/* Without sweeps, nobody needs to know what is not to be announced. */
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

/* Wakes the sessions that wait, if the bell rang. */
static void
answer(void)
{
	uint64 count = pg_atomic_read_u64(&bell->generation);
	TimestampTz now;

	if (count == loop.heard)
		return;
	loop.heard = count;
	ConditionVariableBroadcast(&bell->rung);
	pg_atomic_write_u64(&bell->heard, count);
	sierra_pool_call(bell);
	now = GetCurrentTimestamp();
	loop.rest_until = TimestampTzPlusMilliseconds(now, REST_MS);

	SpinLockAcquire(&bell->mutex);
	sierra_doorbell_add_rings(&loop.rings, &bell->rings);
	bell->rings.count = 0;
	bell->rings.overflow = false;
	bell->worker.last_wake = now;
	SpinLockRelease(&bell->mutex);
	if (sierra_guc_notify == SIERRA_NOTIFY_OFF)
		drop_silent_rings();
}

/* While it looks at many stores. */
static void
answer_between(void)
{
	if (GetCurrentTimestamp() >= loop.rest_until)
		answer();
}

static void
begin_round(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "looking for new events");
}

static void
end_round(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* One transaction: looks, and sends what there is to send. */
static int
look_and_notify(const SierraRings *rings, bool everything)
{
	int sent = 0;

	begin_round();
	if (!sierra_extension_exists())
	{
		end_round();
		leave(SIERRA_WORKER_NONE);
	}
	sent += sierra_watch_rings(rings, answer_between);
	if (everything && sierra_guc_notify != SIERRA_NOTIFY_OFF)
		sent += sierra_watch_all(answer_between);
	else
		sent += sierra_watch_again(answer_between);
	end_round();
	return sent;
}

static void
remember_error(const char *message)
{
	SierraWorkerInfo *info = &bell->worker;

	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	strlcpy(info->last_error, message, SIERRA_WORKER_ERROR_MAX);
	info->last_error_at = GetCurrentTimestamp();
	LWLockRelease(sierra_doorbell->lock);
}

/* Reports an error and goes on; the rings are kept for the next round. */
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

/* Looks at the stores that rang, or at all; when next is set by what it took. */
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
	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	bell->worker.notifications += sent;
	if (sent > 0)
		bell->worker.last_notify = ended;
	if (everything)
		bell->worker.last_sweep = ended;
	LWLockRelease(sierra_doorbell->lock);
	/* What a sweep found has rung no bell. */
	if (everything && sent > 0)
		sierra_pool_call(bell);
	if (everything)
		loop.sweep_due = Max(TimestampTzPlusMilliseconds(began, sierra_guc_sweep_interval),
							 ended + (ended - began) * SWEEP_SHARE);
	if (!failed)
		loop.round_due = Max(TimestampTzPlusMilliseconds(began, sierra_guc_notify_interval),
							 ended + (ended - began) * ROUND_SHARE);
}

/* When the next round is due; DT_NOEND if nothing rang. */
static TimestampTz
round_due(void)
{
	if (loop.rings.count > 0 || loop.rings.overflow)
		return loop.round_due;
	return Max(loop.round_due, sierra_watch_due());
}

/* Does a session sleep at the bell?  A hint. */
static bool
somebody_waits(void)
{
	bool empty;

	SpinLockAcquire(&bell->rung.mutex);
	empty = proclist_is_empty(&bell->rung.wakeup);
	SpinLockRelease(&bell->rung.mutex);
	return !empty;
}

/*
 * Sleeps until it is time for something, or until the bell rings and it listens.
 * It does not listen while a round may not come yet, unless somebody waits.
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
		/* A full barrier: who rings later finds that we listen. */
		(void) pg_atomic_exchange_u32(&bell->listener, SIERRA_LISTENER_WORKER);
		if (pg_atomic_read_u64(&bell->generation) != loop.heard)
			return;
	}
	if (due <= now)
		return;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) Min((due - now + 999) / 1000, (int64) INT_MAX), wait_event());
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
		if (is_held())
			leave(SIERRA_WORKER_WANTED);
		now = GetCurrentTimestamp();
		if (now >= loop.rest_until)
			answer();
		if (now >= loop.sweep_due)
			do_round(true);
		else if (now >= round_due())
			do_round(false);
		sleep_until_due();
	}
}

/* Ends before it was ready. */
static void
resign(Oid database, SierraWorkerState state)
{
	SierraBell *known;

	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	known = sierra_doorbell_find(database);
	if (known != NULL && known->worker.state == SIERRA_WORKER_STARTING)
	{
		known->worker.state = state;
		if (state == SIERRA_WORKER_NONE)
			pg_atomic_write_u32(&known->listener, SIERRA_LISTENER_LAUNCHER);
	}
	LWLockRelease(sierra_doorbell->lock);
	proc_exit(0);
}

void
sierra_worker_main(Datum argument)
{
	Oid database = DatumGetObjectId(argument);
	bool held;
	bool installed;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	/* To connect to a database that a statement needs would hold that up. */
	LWLockAcquire(sierra_doorbell->lock, LW_SHARED);
	held = sierra_exclusive_is_held(database);
	LWLockRelease(sierra_doorbell->lock);
	if (held)
		resign(database, SIERRA_WORKER_WANTED);

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pin_settings();
	begin_round();
	installed = sierra_extension_exists();
	end_round();
	if (!installed)
		resign(database, SIERRA_WORKER_NONE);
	attach();
	round_context =
		AllocSetContextCreate(TopMemoryContext, "sierra_es worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round_context);
	run();
}
