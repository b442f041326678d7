/*
 * runner_pool.c
 *		The runners of a server: which databases have one, and which are to get one.
 *
 * The launcher decides.  A database whose worker runs has the extension; it gets
 * a runner when something there is due, or may be: at first, when its bell rang,
 * at the time that its last runner left word of, and once in a while.  A runner
 * that has nothing to do keeps its place until another database wants it.  If
 * all are busy, one that has had its slice of time leaves after the job that it
 * is at.  Places that nobody wants go to databases with more than one job due.
 */
#include "postgres.h"

#include "base/guc.h"
#include "wakeup/doorbell.h"
#include "worker/process_utility.h"
#include "worker/runner_pool.h"
#include "worker/worker_launcher.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"

/* A busy runner may stay so long while others wait. */
#define SLICE_MS 1000

#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

/* Of the launcher: the runners that it has asked for. */
static BackgroundWorkerHandle *handles[SIERRA_RUNNERS];
static uint32 last_token = 0;
static TimestampTz no_room_until = 0;
static int no_room_count = 0;

/* What the launcher found, and what it is going to do. */
typedef struct Plan
{
	int used; /* places that are not free */
	int leaving;
	int count;
	Oid start[SIERRA_BELLS];
	TimestampTz waiting_since[SIERRA_BELLS];
	TimestampTz wake_at;
} Plan;

int
sierra_pool_count(Oid database)
{
	int count = 0;

	for (int i = 0; i < SIERRA_RUNNERS; i++)
	{
		SierraRunner *runner = &sierra_doorbell->runner[i];

		if (runner->state != SIERRA_RUNNER_FREE && runner->database == database)
			count++;
	}
	return count;
}

/* Asked at each ring, so most calls are one look. */
void
sierra_pool_call(SierraBell *bell)
{
	if (sierra_guc_workers == 0 || pg_atomic_read_u32(&bell->want.called) != 0 ||
		pg_atomic_exchange_u32(&bell->want.called, 1) != 0)
		return;
	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	bell->want.due_at = 0;
	LWLockRelease(sierra_doorbell->lock);
	sierra_doorbell_call_launcher();
}

int
sierra_pool_dismiss(Oid database, bool signal)
{
	int count = 0;

	LWLockAcquire(sierra_doorbell->lock, LW_SHARED);
	for (int i = 0; i < SIERRA_RUNNERS; i++)
	{
		SierraRunner *runner = &sierra_doorbell->runner[i];

		if (runner->state != SIERRA_RUNNER_RUNNING || runner->database != database)
			continue;
		SetLatch(runner->latch);
		if (signal)
			(void) kill(runner->pid, SIGTERM);
		count++;
	}
	LWLockRelease(sierra_doorbell->lock);
	return count;
}

/* The place is free again; who was in it did not say good-bye. */
static void
clear_place(SierraRunner *runner, TimestampTz now)
{
	SierraBell *bell = sierra_doorbell_find(runner->database);

	if (bell != NULL)
	{
		bell->want.failures++;
		bell->want.retry_at = TimestampTzPlusMilliseconds(
			now, Min(RETRY_MAX_MS, RETRY_MS << Min(bell->want.failures - 1, 10)));
		bell->want.left_at = now;
		bell->want.due_at = 0;
	}
	runner->state = SIERRA_RUNNER_FREE;
	runner->database = InvalidOid;
}

/* Notices runners that ended before they could take their place. */
static void
reap(TimestampTz now)
{
	for (int i = 0; i < SIERRA_RUNNERS; i++)
	{
		SierraRunner *runner = &sierra_doorbell->runner[i];
		pid_t pid;

		if (handles[i] == NULL || GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED)
			continue;
		pfree(handles[i]);
		handles[i] = NULL;
		LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
		if (runner->state == SIERRA_RUNNER_STARTING)
			clear_place(runner, now);
		LWLockRelease(sierra_doorbell->lock);
	}
}

void
sierra_pool_take_over(void)
{
	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_RUNNERS; i++)
	{
		SierraRunner *runner = &sierra_doorbell->runner[i];

		last_token = Max(last_token, runner->token);
		if (runner->state == SIERRA_RUNNER_STARTING)
			runner->state = SIERRA_RUNNER_FREE;
	}
	LWLockRelease(sierra_doorbell->lock);
}

/* Keeps those that wait longest first. */
static void
add_start(Plan *plan, const SierraBell *bell)
{
	int i = plan->count++;

	while (i > 0 && plan->waiting_since[i - 1] > bell->want.left_at)
	{
		plan->start[i] = plan->start[i - 1];
		plan->waiting_since[i] = plan->waiting_since[i - 1];
		i--;
	}
	plan->start[i] = bell->database;
	plan->waiting_since[i] = bell->want.left_at;
}

static bool
may_have_runner(const SierraBell *bell)
{
	return OidIsValid(bell->database) && bell->worker.state == SIERRA_WORKER_RUNNING &&
		   !sierra_exclusive_is_held(bell->database);
}

/* Databases without a runner, in which one is due. */
static void
find_wanting(Plan *plan, TimestampTz now)
{
	for (int i = 0; i < SIERRA_BELLS; i++)
	{
		SierraBell *bell = &sierra_doorbell->bell[i];
		TimestampTz due_at = Max(bell->want.due_at, bell->want.retry_at);

		if (!may_have_runner(bell) || sierra_pool_count(bell->database) > 0)
			continue;
		if (due_at <= now)
			add_start(plan, bell);
		else
			plan->wake_at = Min(plan->wake_at, due_at);
	}
}

/* Places that are left go to busy databases, one each at a time. */
static void
find_busy(Plan *plan, TimestampTz now, int places)
{
	for (int i = 0; i < SIERRA_BELLS && plan->count < places; i++)
	{
		SierraBell *bell = &sierra_doorbell->bell[i];
		int count;

		if (!may_have_runner(bell) || bell->want.backlog < 2 || bell->want.retry_at > now)
			continue;
		count = sierra_pool_count(bell->database);
		if (count > 0 && count < bell->want.backlog)
			add_start(plan, bell);
	}
}

static void
count_places(Plan *plan)
{
	for (int i = 0; i < SIERRA_RUNNERS; i++)
	{
		SierraRunner *runner = &sierra_doorbell->runner[i];

		if (runner->state == SIERRA_RUNNER_FREE)
			continue;
		plan->used++;
		if (pg_atomic_read_u32(&runner->leave) != 0)
			plan->leaving++;
	}
}

/* When this runner may be asked to leave; idle ones at any time. */
static TimestampTz
leaves_at(const SierraRunner *runner, bool at_once)
{
	if (runner->state != SIERRA_RUNNER_RUNNING ||
		pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &runner->leave)) != 0)
		return DT_NOEND;
	if (runner->idle || at_once)
		return DT_NOBEGIN;
	return TimestampTzPlusMilliseconds(runner->started, SLICE_MS);
}

/*
 * Asks so many runners to leave, those first that are idle or there for longest.
 * One that goes idle calls the launcher while somebody waits.
 */
static void
ask_to_leave(Plan *plan, int count, bool at_once, TimestampTz now)
{
	while (count-- > 0)
	{
		SierraRunner *first = NULL;

		for (int i = 0; i < SIERRA_RUNNERS; i++)
		{
			SierraRunner *runner = &sierra_doorbell->runner[i];

			if (first == NULL || leaves_at(runner, at_once) < leaves_at(first, at_once))
				first = runner;
		}
		if (leaves_at(first, at_once) > now)
		{
			TimestampTz later = TimestampTzPlusMilliseconds(now, SLICE_MS);

			/* Also if there are none but such that start or leave. */
			plan->wake_at = Min(plan->wake_at, Min(leaves_at(first, at_once), later));
			return;
		}
		pg_atomic_write_u32(&first->leave, 1);
		SetLatch(first->latch);
	}
}

static void
make_plan(Plan *plan, TimestampTz now)
{
	int places;

	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	count_places(plan);
	if (sierra_guc_workers > 0)
		find_wanting(plan, now);
	places = Max(sierra_guc_workers - plan->used, 0);
	if (plan->used - plan->leaving > sierra_guc_workers)
		ask_to_leave(plan, plan->used - plan->leaving - sierra_guc_workers, true, now);
	else if (plan->count > places + plan->leaving)
		ask_to_leave(plan, plan->count - places - plan->leaving, false, now);
	pg_atomic_write_u32(&sierra_doorbell->waiting, plan->count > places);
	find_busy(plan, now, places);
	plan->count = Min(plan->count, places);
	LWLockRelease(sierra_doorbell->lock);
}

static void
report_no_room(TimestampTz now)
{
	if (no_room_count == 0)
		ereport(LOG, errmsg("could not start a runner of sierra_es"),
				errdetail("All %d background workers are in use.", max_worker_processes),
				errhint("Increase \"max_worker_processes\", or decrease \"sierra_es.workers\"."));
	no_room_until =
		TimestampTzPlusMilliseconds(now, Min(RETRY_MAX_MS, RETRY_MS << Min(no_room_count, 10)));
	no_room_count++;
}

/* Takes a free place; its index, or -1. */
static int
take_place(Oid database, uint32 token)
{
	int place = -1;

	LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_RUNNERS && place < 0; i++)
	{
		SierraRunner *runner = &sierra_doorbell->runner[i];

		if (runner->state != SIERRA_RUNNER_FREE || handles[i] != NULL)
			continue;
		place = i;
		pg_atomic_write_u32(&runner->leave, 0);
		runner->state = SIERRA_RUNNER_STARTING;
		runner->token = token;
		runner->database = database;
		runner->pid = 0;
		runner->latch = NULL;
		runner->idle = false;
		runner->jobs = runner->events = 0;
		runner->started = runner->last_error_at = 0;
		runner->job[0] = runner->last_error[0] = '\0';
	}
	LWLockRelease(sierra_doorbell->lock);
	return place;
}

/* False if the server has no room for another background worker. */
static bool
start_runner(Oid database)
{
	BackgroundWorker worker = {0};
	uint32 token = (last_token + 1) & 0xFFFFFF;
	int place = take_place(database, token);
	bool started;

	if (place < 0)
		return true;
	last_token = token;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "sierra_es");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "sierra_runner_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "sierra_es runner for database %u",
			 database);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "sierra_es runner");
	worker.bgw_main_arg = Int32GetDatum((int32) (place | token << 6));
	worker.bgw_notify_pid = MyProcPid;
	started = sierra_launcher_start(&worker, &handles[place]);
	if (!started)
	{
		handles[place] = NULL;
		LWLockAcquire(sierra_doorbell->lock, LW_EXCLUSIVE);
		sierra_doorbell->runner[place].state = SIERRA_RUNNER_FREE;
		LWLockRelease(sierra_doorbell->lock);
	}
	return started;
}

TimestampTz
sierra_pool_tend(TimestampTz now)
{
	Plan plan = {.wake_at = DT_NOEND};

	reap(now);
	make_plan(&plan, now);
	if (plan.count > 0 && now < no_room_until)
		return Min(plan.wake_at, no_room_until);
	for (int i = 0; i < plan.count; i++)
	{
		if (!start_runner(plan.start[i]))
		{
			report_no_room(now);
			return Min(plan.wake_at, no_room_until);
		}
		no_room_count = 0;
	}
	return plan.wake_at;
}
