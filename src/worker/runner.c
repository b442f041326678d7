/*
 * runner.c
 *		A process that runs timers, sagas and projections of a database.
 *
 * It is one loop: look which jobs there are, run those that are due, one after
 * the other, and look again from time to time, since new ones become due.  If
 * nothing is due, it sleeps until the doorbell rings, like a session that waits
 * for events.
 *
 * Between jobs it checks whether it has to leave: because another database
 * needs its slot (runner_pool.c), because a statement needs the database for
 * itself (process_utility.c), or because the extension was dropped.  When it
 * leaves, it records for the launcher when the database needs a runner again.
 * Only a signal, or sierra_es.job_timeout, ends a job; its work is rolled back, and
 * is done again later.
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
#include "utils/timeout.h"

/* While jobs are due, the runner looks for others this often, in milliseconds. */
#define JOBS_LOOK_INTERVAL_MS 50

/*
 * While it is idle and nothing rings, the pause after a look is at least this many
 * times its duration.
 */
#define LOOK_PAUSE_FACTOR 20

/*
 * When the doorbell rings, an append in flight can still hold events back.
 * Then the runner looks again after the first time, and after the second, in
 * milliseconds.
 */
#define FIRST_RECHECK_MS 2
#define SECOND_RECHECK_MS 20

/*
 * If it is busy for longer than this, in milliseconds, and more than one job is
 * due, it asks for another runner.
 */
#define ASK_FOR_HELP_AFTER_MS 200

/* It calls the launcher for that at most this often, in milliseconds. */
#define ASK_FOR_HELP_INTERVAL_MS 1000

/* A runner that is not needed leaves after this time, in milliseconds. */
#define LEAVE_AFTER_MS 5000

/*
 * A database with jobs but without a runner gets one at least this often, in
 * milliseconds, to find what did not ring.
 */
#define VISIT_INTERVAL_MS 60000

/*
 * While jobs of another owner are due, a runner leaves after this time, in
 * milliseconds, so that another one runs them.
 */
#define OWNER_SLICE_MS 250

/*
 * A job that takes longer than this, in milliseconds, is one that others should not
 * wait for: the launcher starts another runner if a slot is free.
 */
#define LONG_JOB_MS 1000

/* A runner that ran for this time, in milliseconds, did not fail to start. */
#define STARTED_WELL_MS 10000

/*
 * The pause before the next start, from the second failure in a row on, in
 * milliseconds.  It doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

static SierraRunner *runner_slot = NULL;
static SierraDatabaseSlot *slot = NULL;

/* It leaves by its own decision, which is not a failure. */
static bool left = false;
/* The database has no jobs at all, so only a transaction that makes one needs a runner. */
static bool has_no_jobs = false;

/* Whose jobs this runner runs, and since when; nobody's before the first job. */
static SierraJobOwner served = {InvalidOid, InvalidOid};
static TimestampTz served_since = 0;

/* When it asked for another runner, for another owner; 0: it has not. */
static TimestampTz asked_at = 0;

static TimeoutId long_job_timeout;

/* When the database needs a runner again; 0: at once, DT_NOEND: not before it rings. */
static TimestampTz return_at = 0;

/* The state of the loop. */
static struct
{
	uint64 wakeups_handled; /* count of wake-ups before the last look */
	uint64 jobs_made;		/* count of jobs_made before it */
	SierraJobLook look;
	TimestampTz looked_at;
	TimestampTz look_due;
	bool changed;				  /* a job has handled something since */
	int rechecks;				  /* looks for events that are held back, since the last ring */
	TimestampTz busy_since;		  /* 0: idle */
	TimestampTz not_needed_since; /* if it is not needed; else the time of the last check */
	TimestampTz called_at;		  /* when it last asked for help */
} loop;

/*
 * Records for the launcher when the database needs a runner again.  After
 * failures in a row, the pauses before the next start get longer.
 */
static void
record_departure(SierraRunnerDemand *demand, TimestampTz now)
{
	demand->left_at = now;
	demand->backlog = 0;
	demand->due_at = left ? return_at : 0;
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

/* Is there a reason, since the last look, to start another runner at once? */
static bool
is_needed_again(void)
{
	if (has_no_jobs)
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
		record_departure(&known->demand, now);
	if (slot != NULL)
	{
		pg_atomic_fetch_sub_u32(&slot->demand.has_runner, 1);
		/*
		 * A full barrier.  A session that rings from now on calls the launcher;
		 * a ring before is seen by is_needed_again().
		 */
		pg_atomic_exchange_u32(&slot->demand.launcher_called, has_no_jobs ? 1 : 0);
		if (is_needed_again())
			slot->demand.due_at = 0;
	}
	runner_slot->state = SIERRA_RUNNER_FREE;
	runner_slot->database = InvalidOid;
	runner_slot->serves = (SierraJobOwner){InvalidOid, InvalidOid};
	runner_slot->latch = NULL;
	runner_slot->pid = 0;
	LWLockRelease(sierra_shared->lock);
	sierra_doorbell_call_launcher();
}

static void
leave(TimestampTz when)
{
	left = true;
	return_at = when;
	proc_exit(0);
}

/*
 * Takes the slot that the launcher reserved, before anything can fail.  Returns
 * the database, or InvalidOid if the slot is not reserved for this start any
 * more.
 */
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
		served = runner_slot->serves;
	}
	LWLockRelease(sierra_shared->lock);
	if (OidIsValid(database))
		before_shmem_exit(detach, (Datum) 0);
	return database;
}

/* Settings that a database has for its sessions must not affect the looks of a runner. */
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

/*
 * When the database needs a runner again if nothing rings before; at once if
 * that is not known.
 */
static TimestampTz
next_visit(TimestampTz now)
{
	TimestampTz visit = TimestampTzPlusMilliseconds(now, VISIT_INTERVAL_MS);
	TimestampTz wake_at;
	int due;

	(void) sierra_jobs_next(&served, now, &due, &wake_at);
	if (loop.changed || due > 0)
		return now;
	return Min(wake_at, visit);
}

/*
 * Has this runner been idle for LEAVE_AFTER_MS, in a database that has no jobs
 * or that has another runner, which is not stuck?
 */
static bool
is_not_needed(TimestampTz now)
{
	bool superfluous;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	superfluous = loop.look.jobs == 0 || sierra_pool_free_count(MyDatabaseId) > 1;
	LWLockRelease(sierra_shared->lock);
	if (!superfluous || loop.busy_since != 0)
		loop.not_needed_since = now;
	return TimestampDifferenceExceeds(loop.not_needed_since, now, LEAVE_AFTER_MS);
}

static void
look(TimestampTz now)
{
	TimestampTz ended;
	uint64 wakeups_handled = pg_atomic_read_u64(&slot->wakeups);

	loop.jobs_made = pg_atomic_read_u64(&slot->demand.jobs_made);
	pg_memory_barrier();
	if (wakeups_handled != loop.wakeups_handled)
		loop.rechecks = 0;
	loop.wakeups_handled = wakeups_handled;
	sierra_jobs_look(&loop.look);
	if (!loop.look.installed)
	{
		has_no_jobs = true;
		leave(DT_NOEND);
	}
	ended = GetCurrentTimestamp();
	loop.looked_at = ended;
	loop.look_due = Max(TimestampTzPlusMilliseconds(now, sierra_guc_sweep_interval),
						ended + (ended - now) * LOOK_PAUSE_FACTOR);
	loop.changed = false;
}

/* Shows which job it runs, and asks for another runner if it is busy for long. */
static void
note_busy(const SierraJob *job, int due, TimestampTz now)
{
	const char *description = sierra_job_describe(job);
	bool help;

	if (loop.busy_since == 0)
		loop.busy_since = now;
	help = due > 1 && TimestampDifferenceExceeds(loop.busy_since, now, ASK_FOR_HELP_AFTER_MS);
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	runner_slot->idle = false;
	strlcpy(runner_slot->job, description, SIERRA_RUNNER_JOB_MAX);
	if (help)
		slot->demand.backlog = due;
	LWLockRelease(sierra_shared->lock);
	if (!help || !TimestampDifferenceExceeds(loop.called_at, now, ASK_FOR_HELP_INTERVAL_MS))
		return;
	loop.called_at = now;
	sierra_doorbell_call_launcher();
}

/* Runs in a signal handler. */
static void
note_long_job(void)
{
	Latch *launcher = sierra_shared->launcher_latch;

	pg_atomic_write_u32(&runner_slot->stuck, SIERRA_STUCK);
	if (launcher != NULL)
		SetLatch(launcher);
}

static void
run_job(SierraJob *job)
{
	SierraJobResult result;

	enable_timeout_after(long_job_timeout, LONG_JOB_MS);
	sierra_job_run(job, &result);
	disable_timeout(long_job_timeout, false);
	pg_atomic_write_u32(&runner_slot->stuck, SIERRA_NOT_STUCK);
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

/* Sleeps until this time, or until the doorbell rings. */
static void
sleep_until(TimestampTz wake_at)
{
	TimestampTz now = GetCurrentTimestamp();
	long timeout = Min(TimestampDifferenceMilliseconds(now, wake_at), INT_MAX);

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

/*
 * When to wake up.  Events that are held back become readable a moment after
 * the doorbell rang.
 */
static TimestampTz
wake_time(TimestampTz now, TimestampTz next_job)
{
	TimestampTz wake_at = Min(loop.look_due, next_job);

	if (loop.look.held_back && loop.rechecks < 2)
		wake_at =
			Min(wake_at, TimestampTzPlusMilliseconds(
							 now, loop.rechecks++ == 0 ? FIRST_RECHECK_MS : SECOND_RECHECK_MS));
	return wake_at;
}

/* Reloads settings; leaves if another database needs the slot or a statement the database. */
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

/* Called after a look, since what woke the runner may be a new job. */
static void
leave_if_not_needed(TimestampTz now)
{
	if (!is_not_needed(now))
		return;
	has_no_jobs = loop.look.jobs == 0;
	leave(next_visit(now));
}

static bool
is_time_to_look(TimestampTz now, bool idle)
{
	if (now >= loop.look_due)
		return true;
	if (idle)
		return loop.changed || pg_atomic_read_u64(&slot->wakeups) != loop.wakeups_handled;
	return TimestampDifferenceExceeds(loop.looked_at, now, JOBS_LOOK_INTERVAL_MS);
}

/* Begins to serve an owner; this process will never serve another one. */
static void
serve(const SierraJobOwner *owner, TimestampTz now)
{
	served = *owner;
	served_since = now;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	runner_slot->serves = served;
	LWLockRelease(sierra_shared->lock);
}

/* Sees to it that another process serves this owner: beside this one, or after it. */
static void
hand_over(const SierraJobOwner *next, TimestampTz now)
{
	bool has_room = sierra_pool_has_room();

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot->demand.next = *next;
	LWLockRelease(sierra_shared->lock);
	if (asked_at == 0)
		asked_at = now;
	if (!has_room || TimestampDifferenceExceeds(asked_at, now, OWNER_SLICE_MS))
		leave(0);
	if (asked_at == now)
		sierra_doorbell_call_launcher();
}

/*
 * The owner who is to be served next, this one not counted; false if no other has a job
 * that is due.  Owners that other runners serve are left to these.
 */
static bool
find_next_owner(TimestampTz now, SierraJobOwner *next)
{
	SierraJobOwner others[SIERRA_RUNNERS_MAX];
	int count = sierra_pool_served_by_others(others);

	return sierra_jobs_next_owner(&served, others, count, now, next);
}

/*
 * The job to run next; how many are due, and when others will be.  What runs in this
 * process could leave something behind: a connection to another server, for
 * example.  So it runs jobs of one owner only, and leaves if those of another one
 * are due and no other runner runs them.
 */
static SierraJob *
choose_job(TimestampTz now, int *due, TimestampTz *wake_at)
{
	SierraJob *job = sierra_jobs_next(&served, now, due, wake_at);
	SierraJobOwner next;

	if (served_since != 0)
	{
		bool gives_way =
			job == NULL || TimestampDifferenceExceeds(served_since, now, OWNER_SLICE_MS);

		if (*due == 0 || !gives_way || !find_next_owner(now, &next))
			asked_at = 0;
		else
			hand_over(&next, now);
		return job;
	}
	/* Before its first job: the owner that it was started for, or else one whom nobody serves. */
	if (job == NULL && *due > 0 &&
		(find_next_owner(now, &next) || sierra_jobs_next_owner(&served, NULL, 0, now, &next)))
	{
		served = next;
		job = sierra_jobs_next(&served, now, due, wake_at);
	}
	if (job != NULL)
		serve(&job->owner, now);
	return job;
}

static void
run(void)
{
	loop.not_needed_since = GetCurrentTimestamp();
	look(loop.not_needed_since);
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz wake_at;
		SierraJob *job;
		int due;

		CHECK_FOR_INTERRUPTS();
		leave_if_asked(now);
		job = choose_job(now, &due, &wake_at);
		if (is_time_to_look(now, job == NULL))
		{
			look(now);
			job = choose_job(now, &due, &wake_at);
		}
		if (job != NULL)
		{
			note_busy(job, due, now);
			run_job(job);
			continue;
		}
		if (loop.changed)
			continue;
		leave_if_not_needed(now);
		note_idle();
		wake_at = wake_time(now, wake_at);
		sleep_until(wake_at);
		if (loop.look.held_back && loop.rechecks <= 2)
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

	/* To connect to a database that a statement needs for itself would delay the statement. */
	if (sierra_shared_is_held(database))
		leave(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pin_settings();
	long_job_timeout = RegisterTimeout(USER_TIMEOUT, note_long_job);
	slot = sierra_shared_own_slot();
	if (slot == NULL)
		leave(DT_NOEND);
	pg_atomic_fetch_add_u32(&slot->demand.has_runner, 1);
	pg_atomic_write_u32(&slot->demand.launcher_called, 1);
	context = AllocSetContextCreate(TopMemoryContext, "sierra_es runner", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	run();
}
