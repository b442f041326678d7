/*
 * runner.c
 *		A process that sends NOTIFY, and runs timers, sagas and projections of a database.
 *
 * It is one loop: do the round of notifications that is due (notify_round.c), look
 * which jobs there are, run one that is due, and look again from time to time, since
 * new ones become due.  If nothing is due, it sleeps until the doorbell rings, like a
 * session that waits for events.
 *
 * Between jobs it checks whether it has to leave: because another database
 * needs its slot (runner_pool.c), because a statement needs the database for
 * itself (process_utility.c), or because the extension was dropped.  When it
 * leaves, it records for the launcher when the database needs a runner again.
 * Only a signal, or sierra_es.job_timeout, ends a job; its work is rolled back, and
 * is done again later.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "wakeup/doorbell.h"
#include "worker/background.h"
#include "worker/job_look.h"
#include "worker/job_table.h"
#include "worker/notify_round.h"
#include "worker/runner.h"
#include "worker/runner_job.h"
#include "worker/runner_pool.h"
#include "worker/runner_slot.h"

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
 * While jobs of another owner are due, a runner leaves after this time, in
 * milliseconds, so that another one runs them.
 */
#define OWNER_SLICE_MS 250

/*
 * A job that takes longer than this, in milliseconds, is one that others should not
 * wait for: the launcher starts another runner if a slot is free.
 */
#define LONG_JOB_MS 1000

/*
 * While a job takes longer than this, in milliseconds, a ring calls the launcher: it
 * sends another runner for the notifications if a slot is free.
 */
#define BUSY_JOB_MS 20

/* Whose jobs this runner runs, and since when; nobody's before the first job. */
static SierraJobOwner served = {InvalidOid, InvalidOid};
static SierraTime served_since = 0;

/* When it asked for another runner, for another owner; 0: it has not. */
static SierraTime asked_at = 0;

static TimeoutId long_job_timeout;
static TimeoutId busy_job_timeout;

/* The state of the loop. */
static struct
{
	uint64 wakeups_handled; /* count of wake-ups before the last look for jobs */
	uint64 jobs_made;		/* count of jobs_made before it */
	SierraJobLook look;
	SierraTime looked_at;
	SierraTime look_due;
	bool changed;				 /* a job has handled something since */
	int rechecks;				 /* looks for events that are held back, since the last ring */
	SierraTime busy_since;		 /* 0: idle */
	SierraTime not_needed_since; /* if it is not needed; else the time of the last check */
	SierraTime called_at;		 /* when it last asked for help */
} loop;

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
static SierraTime
next_visit(SierraTime now)
{
	SierraTime visit =
		Min(sierra_after_ms(now, sierra_runner_visit_pause()), sierra_rounds_due(false));
	SierraTime wake_at;
	int due;

	if (loop.looked_at == 0)
		return now;
	(void) sierra_jobs_next(&served, now, &due, &wake_at);
	if (loop.changed || due > 0)
		return now;
	return Min(wake_at, visit);
}

/*
 * A runner is not needed if it has been idle for LEAVE_AFTER_MS, and the database has no
 * jobs, or has another runner that is not stuck.  Without a store, none is needed.
 */
static bool
is_not_needed(SierraTime now)
{
	bool superfluous;

	if (loop.look.stores == 0)
		return true;
	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	superfluous = loop.look.jobs == 0 || sierra_pool_free_count(MyDatabaseId) > 1;
	LWLockRelease(sierra_shared->lock);
	if (!superfluous || loop.busy_since != 0)
		loop.not_needed_since = now;
	return sierra_is_past(loop.not_needed_since, now, LEAVE_AFTER_MS);
}

static void
look(SierraTime now)
{
	SierraTime ended;
	SierraTime rested;
	uint64 wakeups_handled = pg_atomic_read_u64(&sierra_own_database->wakeups);

	loop.jobs_made = pg_atomic_read_u64(&sierra_own_database->jobs_made);
	pg_memory_barrier();
	if (wakeups_handled != loop.wakeups_handled)
		loop.rechecks = 0;
	loop.wakeups_handled = wakeups_handled;
	sierra_jobs_look(&loop.look, served.store_owner);
	if (!loop.look.installed)
		sierra_runner_leave_without_extension();
	ended = sierra_now();
	loop.looked_at = ended;
	rested = ended + (ended - now) * LOOK_PAUSE_FACTOR;
	loop.look_due = Max(sierra_after_ms(now, sierra_guc_sweep_interval), rested);
	loop.look_due = Min(loop.look_due, Max(loop.look.again_at, ended));
	if (loop.look.unfinished)
		loop.look_due = Max(sierra_after_ms(ended, JOBS_LOOK_INTERVAL_MS), rested);
	loop.changed = false;
}

/*
 * Begins to serve an owner; this process will never serve another one.  The caller holds
 * sierra_shared->lock.
 */
static void
serve(const SierraJobOwner *owner, SierraTime now)
{
	served = *owner;
	served_since = now;
	sierra_own_runner->serves = sierra_own_database->demand.last = served;
}

/*
 * Would this job leave no runner to other owners?  Each job can take long, and nobody but
 * superusers may end it.  The caller holds sierra_shared->lock.
 */
static bool
takes_last_place(const SierraJob *job)
{
	return !job->trusted && (loop.look.several_owners || sierra_pool_has_other_databases()) &&
		   sierra_pool_is_last_place(job->owner.store_owner);
}

/*
 * Shows which job it runs, and whose, and asks for another runner if it is busy for long.  Returns
 * false if the job has to wait, so that others have a runner.
 */
static bool
note_busy(const SierraJob *job, int due, SierraTime now)
{
	const char *description = sierra_job_describe(job);
	bool help;
	bool waits;

	help = due > 1 && loop.busy_since != 0 &&
		   sierra_is_past(loop.busy_since, now, ASK_FOR_HELP_AFTER_MS);
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	waits = takes_last_place(job);
	if (!waits)
	{
		if (served_since == 0)
			serve(&job->owner, now);
		if (loop.busy_since == 0)
			loop.busy_since = now;
		sierra_own_runner->idle = false;
		strlcpy(sierra_own_runner->job, description, SIERRA_RUNNER_JOB_MAX);
		if (help)
			sierra_own_database->demand.backlog = due;
	}
	LWLockRelease(sierra_shared->lock);
	if (waits)
		sierra_jobs_keep_waiting(job->owner.store_owner);
	if (waits || !help || !sierra_is_past(loop.called_at, now, ASK_FOR_HELP_INTERVAL_MS))
		return !waits;
	loop.called_at = now;
	sierra_doorbell_call_launcher();
	return true;
}

/* Runs in a signal handler. */
static void
note_long_job(void)
{
	Latch *launcher = sierra_shared->launcher_latch;

	pg_atomic_write_u32(&sierra_own_runner->stuck, SIERRA_STUCK);
	if (launcher != NULL)
		SetLatch(launcher);
}

/* Runs in a signal handler.  From now on a ring has to call the launcher. */
static void
note_busy_job(void)
{
	(void) pg_atomic_fetch_or_u32(&sierra_own_database->listeners, SIERRA_LISTEN_LAUNCHER);
	if (pg_atomic_read_u64(&sierra_own_database->wakeups) ==
		pg_atomic_read_u64(&sierra_own_database->wakeups_handled))
		return;
	pg_atomic_write_u32(&sierra_own_database->demand.called, 1);
	if (sierra_shared->launcher_latch != NULL)
		SetLatch(sierra_shared->launcher_latch);
}

static void
run_job(SierraJob *job)
{
	SierraJobResult result;

	enable_timeout_after(busy_job_timeout, BUSY_JOB_MS);
	enable_timeout_after(long_job_timeout, LONG_JOB_MS);
	sierra_job_run(job, &result);
	disable_timeout(busy_job_timeout, false);
	disable_timeout(long_job_timeout, false);
	pg_atomic_write_u32(&sierra_own_runner->stuck, SIERRA_NOT_STUCK);
	pg_atomic_write_u64(&sierra_own_runner->active_at, sierra_now());
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_own_runner->jobs++;
	sierra_own_runner->events += result.handled;
	sierra_own_runner->job[0] = '\0';
	if (result.failed)
	{
		strlcpy(sierra_own_runner->last_error, result.error, SIERRA_ERROR_MAX);
		sierra_own_runner->last_error_at = GetCurrentTimestamp();
	}
	LWLockRelease(sierra_shared->lock);
	pg_atomic_fetch_add_u64(&sierra_own_database->jobs_run, 1);
	pg_atomic_fetch_add_u64(&sierra_own_database->jobs_failed, result.failed ? 1 : 0);
	pg_atomic_fetch_add_u64(&sierra_own_database->jobs_handled, Max(result.handled, 0));
	loop.changed |= result.handled > 0;
}

static void
note_idle(void)
{
	if (loop.busy_since == 0 && sierra_own_runner->idle)
		return;
	loop.busy_since = 0;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_own_runner->idle = true;
	sierra_own_database->demand.backlog = 0;
	LWLockRelease(sierra_shared->lock);
	if (pg_atomic_read_u32(&sierra_shared->waiting) != 0)
		sierra_doorbell_call_launcher();
}

/*
 * Sleeps until this time, or until the doorbell rings.  If nothing but notifications
 * can follow from a ring, it does not listen before the next round may begin: so one
 * wake-up serves many commits.
 */
static void
sleep_until(SierraTime wake_at)
{
	SierraTime now = sierra_now();
	SierraTime round_due;
	uint32 wait_event = sierra_compat_wait_event("SierraRunner");

	SpinLockAcquire(&sierra_own_database->mutex);
	round_due = sierra_own_database->round_due;
	SpinLockRelease(&sierra_own_database->mutex);
	if (loop.look.jobs > 0 || now >= round_due)
	{
		if (wake_at > now)
			sierra_doorbell_sleep(sierra_own_database, sierra_own_seen,
								  sierra_ms_until(now, wake_at), true, wait_event);
		return;
	}
	/* But it notices soon that a transaction made a job. */
	wake_at = Min(Min(wake_at, round_due), sierra_after_ms(now, JOBS_LOOK_INTERVAL_MS));
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 sierra_ms_until(now, wake_at), wait_event);
	ResetLatch(MyLatch);
}

/*
 * When to wake up.  Events that are held back become readable a moment after
 * the doorbell rang.
 */
static SierraTime
wake_time(SierraTime now, SierraTime next_job)
{
	SierraTime wake_at = Min(loop.look_due, next_job);

	if (loop.look.jobs > 0 && loop.look.held_back && loop.rechecks < 2)
		wake_at = Min(wake_at, sierra_after_ms(now, loop.rechecks++ == 0 ? FIRST_RECHECK_MS
																		 : SECOND_RECHECK_MS));
	return wake_at;
}

/* Reloads settings; leaves if another database needs the slot or a statement the database. */
static void
leave_if_asked(SierraTime now)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		loop.look_due = 0;
		sierra_rounds_sweep_soon();
	}
	if (sierra_shared_is_held(MyDatabaseId))
		sierra_runner_leave(0);
	if (pg_atomic_read_u32(&sierra_own_runner->leave) != 0)
		sierra_runner_leave(next_visit(now));
}

/* Called after a look, since what woke the runner may be a new job. */
static void
leave_if_not_needed(SierraTime now)
{
	if (is_not_needed(now))
		sierra_runner_leave(next_visit(now));
}

static bool
is_time_to_look(SierraTime now, bool idle)
{
	if (now >= loop.look_due)
		return true;
	if (loop.look.jobs == 0)
		return pg_atomic_read_u64(&sierra_own_database->jobs_made) != loop.jobs_made;
	if (idle)
		return loop.changed ||
			   pg_atomic_read_u64(&sierra_own_database->wakeups) != loop.wakeups_handled;
	return sierra_is_past(loop.looked_at, now, JOBS_LOOK_INTERVAL_MS);
}

/* Sees to it that another process serves this owner: beside this one, or after it. */
static void
hand_over(const SierraJobOwner *next, SierraTime now)
{
	bool has_room = sierra_pool_has_room();

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_own_database->demand.next = *next;
	LWLockRelease(sierra_shared->lock);
	if (asked_at == 0)
		asked_at = now;
	if (!has_room || sierra_is_past(asked_at, now, OWNER_SLICE_MS))
		sierra_runner_leave(0);
	if (asked_at == now)
		sierra_doorbell_call_launcher();
}

/*
 * The owner who is to be served next, this one not counted; false if no other has a job
 * that is due.  Owners that other runners serve are left to these.
 */
static bool
find_next_owner(SierraTime now, SierraJobOwner *next)
{
	SierraJobOwner others[SIERRA_RUNNERS_MAX];
	int count = sierra_pool_served_by_others(others);

	return sierra_jobs_next_owner(&served, others, count, now, next);
}

/*
 * The owner whom this process is to serve, before its first job: the next one in turn
 * whom no other runner serves, else the next one.  The turns continue behind the owner
 * whom any runner of the database began to serve last, however that one ended.
 */
static bool
find_first_owner(SierraTime now, SierraJobOwner *first)
{
	static const SierraJobOwner nobody = {InvalidOid, InvalidOid};
	SierraJobOwner others[SIERRA_RUNNERS_MAX];
	int count = sierra_pool_served_by_others(others);
	SierraJobOwner last = served;

	if (!OidIsValid(last.store_owner))
	{
		LWLockAcquire(sierra_shared->lock, LW_SHARED);
		last = sierra_own_database->demand.last;
		LWLockRelease(sierra_shared->lock);
	}
	return sierra_jobs_next_owner(&last, others, count, now, first) ||
		   sierra_jobs_next_owner(&nobody, others, count, now, first) ||
		   sierra_jobs_next_owner(&last, NULL, 0, now, first) ||
		   sierra_jobs_next_owner(&nobody, NULL, 0, now, first);
}

/*
 * The job to run next; how many are due, and when others will be.  What runs in this
 * process could leave something behind: a connection to another server, for
 * example.  So it runs jobs of one owner only, and leaves if those of another one
 * are due and no other runner runs them.
 */
static SierraJob *
choose_job(SierraTime now, int *due, SierraTime *wake_at)
{
	SierraJob *job = sierra_jobs_next(&served, now, due, wake_at);
	SierraJobOwner next;

	if (served_since != 0)
	{
		bool gives_way = job == NULL || sierra_is_past(served_since, now, OWNER_SLICE_MS);

		if (*due == 0 || !gives_way || !find_next_owner(now, &next))
			asked_at = 0;
		else
			hand_over(&next, now);
		return job;
	}
	/* Before its first job: the owner that it was started for, or else the next one. */
	if (job == NULL && *due > 0 && find_first_owner(now, &next))
	{
		served = next;
		job = sierra_jobs_next(&served, now, due, wake_at);
	}
	return job;
}

/* Does a round of notifications if one is due. */
static void
notify(SierraTime now)
{
	if (sierra_rounds_due(true) > now)
		return;
	/* The events that a sweep finds have not rung. */
	if (sierra_rounds_due(false) > now)
		loop.look_due = 0;
	else
	{
		loop.not_needed_since = now;
		pg_atomic_write_u64(&sierra_own_runner->active_at, now);
	}
	if (!sierra_rounds_run())
		sierra_runner_leave_without_extension();
}

static void
run(void)
{
	loop.not_needed_since = sierra_now();
	sierra_own_seen = pg_atomic_read_u64(&sierra_own_database->wakeups);
	for (;;)
	{
		SierraTime now = sierra_now();
		SierraTime wake_at;
		SierraJob *job = NULL;
		int due;

		CHECK_FOR_INTERRUPTS();
		leave_if_asked(now);
		sierra_own_seen = pg_atomic_read_u64(&sierra_own_database->wakeups);
		pg_memory_barrier();
		notify(now);
		if (loop.looked_at != 0)
			job = choose_job(now, &due, &wake_at);
		if (is_time_to_look(now, job == NULL))
		{
			look(now);
			job = choose_job(now, &due, &wake_at);
		}
		if (job != NULL)
		{
			if (note_busy(job, due, now))
				run_job(job);
			continue;
		}
		if (loop.changed)
			continue;
		leave_if_not_needed(now);
		note_idle();
		wake_at = wake_time(now, wake_at);
		sleep_until(Min(wake_at, sierra_rounds_due(true)));
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
	database = sierra_runner_attach((int) (start & (SIERRA_RUNNERS_MAX - 1)), start >> 6);
	if (!OidIsValid(database))
		proc_exit(0);

	served = sierra_own_runner->serves;

	/* To connect to a database that a statement needs for itself would delay the statement. */
	if (sierra_shared_is_held(database))
		sierra_runner_leave(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pin_settings();
	long_job_timeout = RegisterTimeout(USER_TIMEOUT, note_long_job);
	busy_job_timeout = RegisterTimeout(USER_TIMEOUT, note_busy_job);
	context = AllocSetContextCreate(TopMemoryContext, "sierra_es runner", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	sierra_runner_enter();
	run();
}
