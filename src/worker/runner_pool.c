/*
 * runner_pool.c
 *		The runners of a server: which databases have one, and which get one.
 *
 * The launcher decides.  A database whose notifier runs has the extension.  It
 * gets a runner when a job is due or may be due: at first, when its doorbell
 * rang, and at the time that its last runner recorded.  A runner that has
 * nothing to do keeps its slot until another database needs it.  If it is stuck in
 * a long job, its database gets another one while slots are free.  If all are
 * busy, a runner that has had its slice of time leaves after its current job.
 * Slots that no database waits for go to databases in which more than one job
 * is due.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/guc.h"
#include "wakeup/doorbell.h"
#include "worker/background.h"
#include "worker/runner_pool.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"

/* How long a busy runner may stay while other databases wait, in milliseconds. */
#define SLICE_MS 1000

/*
 * The pause after a runner that ended before it was ready, in milliseconds.  It
 * doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

/* In the launcher: handles of the runners that it has started. */
static BackgroundWorkerHandle *handles[SIERRA_RUNNERS_MAX];
static uint32 last_token = 0;
static SierraNoRoom no_room;

/* What the launcher found, and what it will do. */
typedef struct Plan
{
	int used;	 /* slots that are not free */
	int leaving; /* those of them whose runner was asked to leave */
	int count;	 /* databases that are to get a runner */
	Oid start[SIERRA_DATABASES_MAX];
	TimestampTz waiting_since[SIERRA_DATABASES_MAX];
	TimestampTz wake_at; /* when to plan again */
} Plan;

int
sierra_pool_count(Oid database)
{
	int count = 0;

	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state != SIERRA_RUNNER_FREE && runner->database == database)
			count++;
	}
	return count;
}

static bool
is_stuck(const SierraRunner *runner)
{
	return pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &runner->stuck)) != SIERRA_NOT_STUCK;
}

int
sierra_pool_free_count(Oid database)
{
	int count = 0;

	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state != SIERRA_RUNNER_FREE && runner->database == database &&
			!is_stuck(runner))
			count++;
	}
	return count;
}

bool
sierra_pool_has_room(void)
{
	int used = 0;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
		used += sierra_shared->runner[i].state != SIERRA_RUNNER_FREE;
	LWLockRelease(sierra_shared->lock);
	return used < sierra_guc_max_runners && pg_atomic_read_u32(&sierra_shared->waiting) == 0;
}

int
sierra_pool_served_by_others(SierraJobOwner *owners)
{
	int count = 0;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state != SIERRA_RUNNER_FREE && runner->database == MyDatabaseId &&
			runner->pid != MyProcPid && OidIsValid(runner->serves.store_owner) && !is_stuck(runner))
			owners[count++] = runner->serves;
	}
	LWLockRelease(sierra_shared->lock);
	return count;
}

/* The notifier calls this each time the doorbell rang, so usually it is a single read. */
void
sierra_pool_call(SierraDatabaseSlot *slot)
{
	if (sierra_guc_max_runners == 0 || pg_atomic_read_u32(&slot->demand.launcher_called) != 0 ||
		pg_atomic_exchange_u32(&slot->demand.launcher_called, 1) != 0)
		return;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot->demand.due_at = 0;
	LWLockRelease(sierra_shared->lock);
	sierra_doorbell_call_launcher();
}

int
sierra_pool_ask_to_leave(Oid database, bool signal)
{
	int count = 0;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state != SIERRA_RUNNER_RUNNING || runner->database != database)
			continue;
		SetLatch(runner->latch);
		if (signal)
			(void) kill(runner->pid, SIGTERM);
		count++;
	}
	LWLockRelease(sierra_shared->lock);
	return count;
}

/* Frees the slot of a runner that ended without doing so itself. */
static void
clear_slot(SierraRunner *runner, TimestampTz now)
{
	SierraDatabaseSlot *slot = sierra_shared_find_slot(runner->database);

	if (slot != NULL)
	{
		slot->demand.failures++;
		slot->demand.retry_at = TimestampTzPlusMilliseconds(
			now, sierra_backoff(slot->demand.failures, RETRY_MS, RETRY_MAX_MS));
		slot->demand.left_at = now;
		slot->demand.due_at = 0;
	}
	runner->state = SIERRA_RUNNER_FREE;
	runner->database = InvalidOid;
}

/* Finds runners that ended before they could take their slot. */
static void
forget_dead(TimestampTz now)
{
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];
		pid_t pid;

		if (handles[i] == NULL || GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED)
			continue;
		pfree(handles[i]);
		handles[i] = NULL;
		LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
		if (runner->state == SIERRA_RUNNER_STARTING)
			clear_slot(runner, now);
		LWLockRelease(sierra_shared->lock);
	}
}

void
sierra_pool_take_over(void)
{
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		last_token = Max(last_token, runner->token);
		if (runner->state == SIERRA_RUNNER_STARTING)
			runner->state = SIERRA_RUNNER_FREE;
	}
	LWLockRelease(sierra_shared->lock);
}

/* Adds a database to the plan; those that wait longest come first. */
static void
add_start(Plan *plan, const SierraDatabaseSlot *slot)
{
	int i = plan->count++;

	while (i > 0 && plan->waiting_since[i - 1] > slot->demand.left_at)
	{
		plan->start[i] = plan->start[i - 1];
		plan->waiting_since[i] = plan->waiting_since[i - 1];
		i--;
	}
	plan->start[i] = slot->database;
	plan->waiting_since[i] = slot->demand.left_at;
}

static bool
may_have_runner(const SierraDatabaseSlot *slot)
{
	return OidIsValid(slot->database) && slot->notifier.state == SIERRA_NOTIFIER_RUNNING &&
		   !sierra_shared_is_held_locked(slot->database);
}

/* A runner has just got stuck: its database may need another one at once. */
static void
notice_stuck(void)
{
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];
		SierraDatabaseSlot *slot;
		uint32 stuck = SIERRA_STUCK;

		if (runner->state == SIERRA_RUNNER_FREE ||
			!pg_atomic_compare_exchange_u32(&runner->stuck, &stuck, SIERRA_STUCK_SEEN))
			continue;
		slot = sierra_shared_find_slot(runner->database);
		if (slot != NULL)
			slot->demand.due_at = 0;
	}
}

/*
 * Adds databases that need a runner now: those without one that is free, and those
 * whose last runner left so that another owner is served.
 */
static void
find_wanting(Plan *plan, TimestampTz now)
{
	for (int i = 0; i < SIERRA_DATABASES_MAX; i++)
	{
		SierraDatabaseSlot *slot = &sierra_shared->slot[i];
		TimestampTz due_at = Max(slot->demand.due_at, slot->demand.retry_at);

		if (!may_have_runner(slot) || (sierra_pool_free_count(slot->database) > 0 &&
									   !OidIsValid(slot->demand.next.store_owner)))
			continue;
		if (due_at <= now)
			add_start(plan, slot);
		else
			plan->wake_at = Min(plan->wake_at, due_at);
	}
}

/* Gives slots that are left to busy databases, one runner for each at a time. */
static void
find_busy(Plan *plan, TimestampTz now, int free_slots)
{
	for (int i = 0; i < SIERRA_DATABASES_MAX && plan->count < free_slots; i++)
	{
		SierraDatabaseSlot *slot = &sierra_shared->slot[i];
		int count;

		if (!may_have_runner(slot) || slot->demand.backlog < 2 || slot->demand.retry_at > now)
			continue;
		count = sierra_pool_count(slot->database);
		if (count > 0 && count < slot->demand.backlog)
			add_start(plan, slot);
	}
}

static void
count_slots(Plan *plan)
{
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state == SIERRA_RUNNER_FREE)
			continue;
		plan->used++;
		if (pg_atomic_read_u32(&runner->leave) != 0)
			plan->leaving++;
	}
}

/*
 * When this runner may be asked to leave: an idle one at any time, a busy one
 * after its slice.
 */
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
 * Asks this number of runners to leave, first those that are idle, then those
 * that started first.  A runner that becomes idle calls the launcher while
 * databases wait.
 */
static void
ask_to_leave(Plan *plan, int count, bool at_once, TimestampTz now)
{
	while (count-- > 0)
	{
		SierraRunner *first = NULL;

		for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
		{
			SierraRunner *runner = &sierra_shared->runner[i];

			if (first == NULL || leaves_at(runner, at_once) < leaves_at(first, at_once))
				first = runner;
		}
		if (leaves_at(first, at_once) > now)
		{
			TimestampTz later = TimestampTzPlusMilliseconds(now, SLICE_MS);

			/* Also if all runners are just starting or leaving. */
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
	int free_slots;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	count_slots(plan);
	notice_stuck();
	if (sierra_guc_max_runners > 0)
		find_wanting(plan, now);
	free_slots = Max(sierra_guc_max_runners - plan->used, 0);
	if (plan->used - plan->leaving > sierra_guc_max_runners)
		ask_to_leave(plan, plan->used - plan->leaving - sierra_guc_max_runners, true, now);
	else if (plan->count > free_slots + plan->leaving)
		ask_to_leave(plan, plan->count - free_slots - plan->leaving, false, now);
	pg_atomic_write_u32(&sierra_shared->waiting, plan->count > free_slots);
	find_busy(plan, now, free_slots);
	plan->count = Min(plan->count, free_slots);
	LWLockRelease(sierra_shared->lock);
}

/* Reserves a free slot; returns its index, or -1. */
static int
take_slot(Oid database, uint32 token)
{
	int index = -1;
	SierraDatabaseSlot *slot;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	for (int i = 0; i < SIERRA_RUNNERS_MAX && index < 0; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state != SIERRA_RUNNER_FREE || handles[i] != NULL)
			continue;
		index = i;
		pg_atomic_write_u32(&runner->leave, 0);
		pg_atomic_write_u32(&runner->stuck, SIERRA_NOT_STUCK);
		runner->serves = (SierraJobOwner){InvalidOid, InvalidOid};
		if (slot != NULL)
		{
			runner->serves = slot->demand.next;
			slot->demand.next = (SierraJobOwner){InvalidOid, InvalidOid};
		}
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
	LWLockRelease(sierra_shared->lock);
	return index;
}

/* False if the server has no room for another background worker. */
static bool
start_runner(Oid database)
{
	BackgroundWorker worker;
	uint32 token = (last_token + 1) & 0xFFFFFF;
	int index = take_slot(database, token);
	bool started;

	if (index < 0)
		return true;
	last_token = token;
	sierra_background_describe(&worker, "sierra_runner_main", "runner", database);
	worker.bgw_main_arg = Int32GetDatum((int32) (index | token << 6));
	started = sierra_background_start(&worker, TopMemoryContext, &handles[index]);
	if (!started)
	{
		handles[index] = NULL;
		LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
		sierra_shared->runner[index].state = SIERRA_RUNNER_FREE;
		LWLockRelease(sierra_shared->lock);
	}
	return started;
}

TimestampTz
sierra_pool_schedule(TimestampTz now)
{
	Plan plan = {.wake_at = DT_NOEND};

	forget_dead(now);
	make_plan(&plan, now);
	if (plan.count > 0 && now < no_room.until)
		return Min(plan.wake_at, no_room.until);
	for (int i = 0; i < plan.count; i++)
	{
		if (!start_runner(plan.start[i]))
		{
			sierra_background_no_room(
				&no_room, "a runner",
				"Increase \"max_worker_processes\", or decrease \"sierra_es.max_runners\".");
			return Min(plan.wake_at, no_room.until);
		}
		no_room.failures = 0;
	}
	return plan.wake_at;
}
