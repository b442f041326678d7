/*
 * runner.c
 *		A process that runs timers, sagas and projections of a database.
 *
 * One loop: look what there is to do, run what is due, one job after the other,
 * and look again now and then, since others come up meanwhile.  With nothing due
 * it sleeps at the bell like a session that waits for events.
 *
 * Between jobs it sees whether it is to go: because another database wants its
 * place (runner_pool.c), a statement needs the database (process_utility.c), or the extension
 * was dropped.  It leaves word of when it is to come back.  A job itself is only
 * ended by a signal; what it had done is rolled back, and comes again.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/compat.h"
#include "base/guc.h"
#include "wakeup/doorbell.h"
#include "worker/background.h"
#include "worker/runner.h"
#include "worker/runner_job.h"
#include "worker/runner_pool.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* While jobs are due, it looks for others so often. */
#define LOOK_MS 50

/* Between looks for nothing lies so many times what one took. */
#define LOOK_SHARE 20

/* After a ring for events that are still held back: the first naps. */
#define NAP_MS 2
#define SECOND_NAP_MS 20

/* So busy, it asks for others to help. */
#define BUSY_MS 200

/* With nothing to do at all it stays so long. */
#define LINGER_MS 5000

/* Without a runner, a database is looked at so often, for what rings no bell. */
#define VISIT_MS 60000

/* A runner that ran so long did not fail to start. */
#define STARTED_WELL_MS 10000
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

static SierraRunner *runner_slot = NULL;
static SierraDatabaseSlot *slot = NULL;

/* Left for a reason of its own: not a failure. */
static bool left = false;
static bool nothing_to_do = false;
static TimestampTz back_at = 0;

/* What the loop remembers. */
static struct
{
	uint64 wakeups_handled; /* rings before the last look */
	uint64 jobs_made;		/* jobs that were made before it */
	SierraJobLook look;
	TimestampTz looked_at;
	TimestampTz look_due;
	bool changed; /* something was done since */
	int naps;
	TimestampTz busy_since; /* 0: idle */
	TimestampTz useless_since;
	TimestampTz called_at;
} loop;

/* Leaves word for the launcher; a failure is followed by a start later and later. */
static void
leave_word(SierraRunnerDemand *demand, TimestampTz now)
{
	demand->left_at = now;
	demand->backlog = 0;
	demand->due_at = left ? back_at : 0;
	if (left || TimestampDifferenceExceeds(runner_slot->started, now, STARTED_WELL_MS))
		demand->failures = 0;
	demand->retry_at = now;
	if (left)
		return;
	if (demand->failures > 0)
		demand->retry_at = TimestampTzPlusMilliseconds(
			now, sierra_backoff(demand->failures, RETRY_MS, RETRY_MAX_MS));
	demand->failures++;
}

/* Was there a ring since the last look that is not to wait for the next visit? */
static bool
was_called(void)
{
	if (nothing_to_do)
		return pg_atomic_read_u64(&slot->demand.jobs_made) != loop.jobs_made;
	return pg_atomic_read_u64(&slot->wakeups) != loop.wakeups_handled;
}

static void
detach(int code, Datum arg)
{
	TimestampTz now = GetCurrentTimestamp();
	SierraDatabaseSlot *known;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	known = sierra_shared_find_slot(runner_slot->database);
	if (known != NULL)
		leave_word(&known->demand, now);
	if (slot != NULL)
	{
		pg_atomic_fetch_sub_u32(&slot->demand.has_runner, 1);
		/* Full barriers: who rings from now on calls the launcher, who did before is heard. */
		pg_atomic_exchange_u32(&slot->demand.launcher_called, nothing_to_do ? 1 : 0);
		if (was_called())
			slot->demand.due_at = 0;
	}
	runner_slot->state = SIERRA_RUNNER_FREE;
	runner_slot->database = InvalidOid;
	runner_slot->latch = NULL;
	runner_slot->pid = 0;
	LWLockRelease(sierra_shared->lock);
	sierra_doorbell_call_launcher();
}

static void
leave(TimestampTz when)
{
	left = true;
	back_at = when;
	proc_exit(0);
}

/* Takes the place, before anything can go wrong; its database, or InvalidOid. */
static Oid
attach(int index, uint32 token)
{
	Oid database = InvalidOid;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	runner_slot = &sierra_shared->runner[index];
	if (runner_slot->state == SIERRA_RUNNER_STARTING && runner_slot->token == token)
	{
		database = runner_slot->database;
		runner_slot->state = SIERRA_RUNNER_RUNNING;
		runner_slot->pid = MyProcPid;
		runner_slot->latch = MyLatch;
		runner_slot->started = GetCurrentTimestamp();
	}
	LWLockRelease(sierra_shared->lock);
	if (OidIsValid(database))
		before_shmem_exit(detach, (Datum) 0);
	return database;
}

/* What a database sets for its sessions is not meant for the looks of a runner. */
static void
pin_settings(void)
{
	static const SierraSetting settings[] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"session_replication_role", "origin"},
		{"idle_in_transaction_session_timeout", "0"},
		{"sierra_es.restore", "off"},
	};

	sierra_background_pin(settings, lengthof(settings));
}

/* When to come back if nothing rings before; at once if that is not known. */
static TimestampTz
next_visit(TimestampTz now)
{
	TimestampTz visit = TimestampTzPlusMilliseconds(now, VISIT_MS);
	TimestampTz wake_at;
	int due;

	if (loop.changed || sierra_jobs_next(now, &due, &wake_at) != NULL)
		return now;
	return Min(wake_at, visit);
}

/* Is it one of several, or one that has had nothing to do for a while? */
static bool
is_useless(TimestampTz now)
{
	bool useless;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	useless = loop.look.jobs == 0 || sierra_pool_count(MyDatabaseId) > 1;
	LWLockRelease(sierra_shared->lock);
	if (!useless || loop.busy_since != 0)
		loop.useless_since = now;
	return TimestampDifferenceExceeds(loop.useless_since, now, LINGER_MS);
}

static void
look(TimestampTz now)
{
	TimestampTz ended;
	uint64 wakeups_handled = pg_atomic_read_u64(&slot->wakeups);

	loop.jobs_made = pg_atomic_read_u64(&slot->demand.jobs_made);
	pg_memory_barrier();
	if (wakeups_handled != loop.wakeups_handled)
		loop.naps = 0;
	loop.wakeups_handled = wakeups_handled;
	sierra_jobs_look(&loop.look);
	if (!loop.look.installed)
	{
		nothing_to_do = true;
		leave(DT_NOEND);
	}
	ended = GetCurrentTimestamp();
	loop.looked_at = ended;
	loop.look_due = Max(TimestampTzPlusMilliseconds(now, sierra_guc_sweep_interval),
						ended + (ended - now) * LOOK_SHARE);
	loop.changed = false;
}

/* Tells what it is doing, and whether others could help. */
static void
note_busy(const SierraJob *job, int due, TimestampTz now)
{
	const char *description = sierra_job_describe(job);
	bool help;

	if (loop.busy_since == 0)
		loop.busy_since = now;
	help = due > 1 && TimestampDifferenceExceeds(loop.busy_since, now, BUSY_MS);
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	runner_slot->idle = false;
	strlcpy(runner_slot->job, description, SIERRA_RUNNER_JOB_MAX);
	if (help)
		slot->demand.backlog = due;
	LWLockRelease(sierra_shared->lock);
	if (!help || !TimestampDifferenceExceeds(loop.called_at, now, 1000))
		return;
	loop.called_at = now;
	sierra_doorbell_call_launcher();
}

static void
run_job(SierraJob *job)
{
	SierraJobResult result;

	sierra_job_run(job, &result);
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	runner_slot->jobs++;
	runner_slot->events += result.handled;
	runner_slot->job[0] = '\0';
	if (result.failed)
	{
		strlcpy(runner_slot->last_error, result.error, SIERRA_RUNNER_ERROR_MAX);
		runner_slot->last_error_at = GetCurrentTimestamp();
	}
	LWLockRelease(sierra_shared->lock);
	loop.changed |= result.handled > 0;
}

static void
note_idle(void)
{
	if (loop.busy_since == 0 && runner_slot->idle)
		return;
	loop.busy_since = 0;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	runner_slot->idle = true;
	slot->demand.backlog = 0;
	LWLockRelease(sierra_shared->lock);
	if (pg_atomic_read_u32(&sierra_shared->waiting) != 0)
		sierra_doorbell_call_launcher();
}

/* Sleeps at the bell until it is time for something. */
static void
sleep_until(TimestampTz wake_at)
{
	TimestampTz now = GetCurrentTimestamp();
	long timeout = (long) Min((wake_at - now + 999) / 1000, (int64) INT_MAX);

	if (pg_atomic_read_u32(&slot->has_notifier) == 0)
		timeout = Min(timeout, sierra_guc_poll_interval);
	if (timeout <= 0)
		return;
	ConditionVariablePrepareToSleep(&slot->waiters);
	sierra_doorbell_want_wakeup(slot);
	if (pg_atomic_read_u64(&slot->wakeups) == loop.wakeups_handled)
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout,
						 sierra_compat_wait_event("SierraRunner"));
	ConditionVariableCancelSleep();
	ResetLatch(MyLatch);
}

/* Events that are held back become readable a moment after the bell rang. */
static TimestampTz
wake_time(TimestampTz now, TimestampTz next_job)
{
	TimestampTz wake_at = Min(loop.look_due, next_job);

	if (loop.look.held_back && loop.naps < 2)
		wake_at = Min(wake_at,
					  TimestampTzPlusMilliseconds(now, loop.naps++ == 0 ? NAP_MS : SECOND_NAP_MS));
	return wake_at;
}

/* Leaves if it has to. */
static void
leave_if_asked(TimestampTz now)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		loop.look_due = 0;
	}
	if (sierra_shared_is_held(MyDatabaseId))
		leave(0);
	if (pg_atomic_read_u32(&runner_slot->leave) != 0)
		leave(next_visit(now));
}

/* After a look, since what woke it up may be the first job for long. */
static void
leave_if_useless(TimestampTz now)
{
	if (!is_useless(now))
		return;
	nothing_to_do = loop.look.jobs == 0;
	leave(next_visit(now));
}

static bool
is_time_to_look(TimestampTz now, bool idle)
{
	if (now >= loop.look_due)
		return true;
	if (idle)
		return loop.changed || pg_atomic_read_u64(&slot->wakeups) != loop.wakeups_handled;
	return TimestampDifferenceExceeds(loop.looked_at, now, LOOK_MS);
}

static void
run(void)
{
	loop.useless_since = GetCurrentTimestamp();
	look(loop.useless_since);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz wake_at;
		SierraJob *job;
		int due;

		CHECK_FOR_INTERRUPTS();
		leave_if_asked(now);
		job = sierra_jobs_next(now, &due, &wake_at);
		if (is_time_to_look(now, job == NULL))
		{
			look(now);
			job = sierra_jobs_next(now, &due, &wake_at);
		}
		if (job != NULL)
		{
			note_busy(job, due, now);
			run_job(job);
			continue;
		}
		if (loop.changed)
			continue;
		leave_if_useless(now);
		note_idle();
		wake_at = wake_time(now, wake_at);
		sleep_until(wake_at);
		if (loop.look.held_back && loop.naps <= 2)
			loop.look_due = Min(loop.look_due, wake_at);
	}
}

void
sierra_runner_main(Datum argument)
{
	uint32 start = (uint32) DatumGetInt32(argument);
	MemoryContext context;
	Oid database;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	database = attach((int) (start & (SIERRA_RUNNERS_MAX - 1)), start >> 6);
	if (!OidIsValid(database))
		proc_exit(0);

	/* To connect to a database that a statement needs would hold that up. */
	if (sierra_shared_is_held(database))
		leave(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pin_settings();
	slot = sierra_shared_own_slot();
	if (slot == NULL)
		leave(DT_NOEND);
	pg_atomic_fetch_add_u32(&slot->demand.has_runner, 1);
	pg_atomic_write_u32(&slot->demand.launcher_called, 1);
	context = AllocSetContextCreate(TopMemoryContext, "sierra_es runner", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	run();
}
