/*
 * runner_pool.c
 *		The runners of a server: which databases have one, and which get one.
 *
 * The launcher decides.  A database gets a runner when it may need one: when its
 * doorbell rang, and at the time that its last runner recorded.  A runner that has
 * nothing to do keeps its slot until another database needs it.  If it is stuck in
 * a long job, its database gets another one.  If all slots are in use, a runner that has
 * had its slice of time leaves after its current job.  Slots that no database waits for
 * go to databases whose notifications wait for a job, and to those in which more than
 * one job is due.
 */
#include "postgres.h"

#include "base/guc.h"
#include "worker/runner_pool.h"

#include "miscadmin.h"

/*
 * How long a busy runner may stay while other databases wait, in milliseconds.  The more
 * wait for each slot, the shorter it is, down to the second value.
 */
#define SLICE_MS 1000
#define SLICE_MIN_MS 100

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

bool
sierra_pool_is_last_place(Oid store_owner)
{
	int running = 0;

	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->state == SIERRA_RUNNER_RUNNING && runner->pid != MyProcPid &&
			runner->serves.store_owner == store_owner && runner->job[0] != '\0')
			running++;
	}
	return sierra_guc_max_runners > 1 && running >= sierra_guc_max_runners - 1;
}

bool
sierra_pool_has_other_databases(void)
{
	for (int i = 0; i < sierra_shared->slots_used; i++)
	{
		SierraDatabaseSlot *slot = &sierra_slots[i];

		if (OidIsValid(slot->database) && slot->database != MyDatabaseId &&
			!slot->demand.no_extension)
			return true;
	}
	return false;
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

/* Adds a database to the plan; those that wait longest come first. */
static void
add_start(SierraPlan *plan, Oid database, SierraTime since)
{
	int i = plan->count;

	plan->wanted++;
	while (i > 0 && plan->waiting_since[i - 1] > since)
	{
		if (i < SIERRA_RUNNERS_MAX)
		{
			plan->start[i] = plan->start[i - 1];
			plan->waiting_since[i] = plan->waiting_since[i - 1];
		}
		i--;
	}
	if (i == SIERRA_RUNNERS_MAX)
		return;
	plan->start[i] = database;
	plan->waiting_since[i] = since;
	plan->count = Min(plan->count + 1, SIERRA_RUNNERS_MAX);
}

static bool
may_have_runner(const SierraDatabaseSlot *slot)
{
	return OidIsValid(slot->database) && !sierra_shared_is_held_locked(slot->database);
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

/* Notes that a ring called the launcher. */
static void
notice_call(SierraDatabaseSlot *slot)
{
	if (pg_atomic_read_u32(&slot->demand.called) == 0)
		return;
	(void) pg_atomic_exchange_u32(&slot->demand.called, 0);
	slot->demand.due_at = 0;
	slot->demand.wants_help = true;
}

/*
 * Adds databases that need a runner now: those without one that is free, and those
 * whose last runner left so that another owner is served.
 */
static void
find_wanting(SierraPlan *plan, const List *unvisited, SierraTime now)
{
	ListCell *cell;

	foreach (cell, unvisited)
	{
		Oid database = lfirst_oid(cell);

		if (!sierra_shared_is_held_locked(database) && sierra_pool_count(database) == 0)
			add_start(plan, database, 0);
	}
	for (int i = 0; i < sierra_shared->slots_used; i++)
	{
		SierraDatabaseSlot *slot = &sierra_slots[i];
		SierraRunnerDemand *demand = &slot->demand;
		SierraTime due_at;

		notice_call(slot);
		if (!may_have_runner(slot) ||
			(sierra_pool_free_count(slot->database) > 0 && !OidIsValid(demand->next.store_owner)))
		{
			demand->waits_since = 0;
			continue;
		}
		due_at = Max(demand->due_at, demand->retry_at);
		if (due_at > now)
		{
			plan->wake_at = Min(plan->wake_at, due_at);
			continue;
		}
		if (demand->waits_since == 0)
			demand->waits_since = now;
		add_start(plan, slot->database, demand->left_at);
	}
}

/* Is a runner of this database idle, or starting? */
static bool
has_idle_runner(Oid database)
{
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		if (runner->database == database &&
			(runner->state == SIERRA_RUNNER_STARTING ||
			 (runner->state == SIERRA_RUNNER_RUNNING && (runner->idle || runner->job[0] == '\0'))))
			return true;
	}
	return false;
}

/*
 * Gives slots that are left to databases that rang while all of their runners were in
 * a job, so that their notifications need not wait for the end of it.
 */
static void
find_silenced(SierraPlan *plan)
{
	for (int i = 0; i < sierra_shared->slots_used; i++)
	{
		SierraDatabaseSlot *slot = &sierra_slots[i];

		if (!slot->demand.wants_help)
			continue;
		slot->demand.wants_help =
			may_have_runner(slot) && sierra_pool_free_count(slot->database) > 0 &&
			pg_atomic_read_u64(&slot->wakeups) != pg_atomic_read_u64(&slot->wakeups_handled) &&
			!has_idle_runner(slot->database);
		if (slot->demand.wants_help)
			add_start(plan, slot->database, SIERRA_NEVER);
	}
}

/* Gives slots that are left to busy databases, one runner for each at a time. */
static void
find_busy(SierraPlan *plan, SierraTime now, int free_slots)
{
	for (int i = 0; i < sierra_shared->slots_used && plan->count < free_slots; i++)
	{
		SierraDatabaseSlot *slot = &sierra_slots[i];
		int count;

		if (!may_have_runner(slot) || slot->demand.backlog < 2 || slot->demand.retry_at > now)
			continue;
		count = sierra_pool_count(slot->database);
		if (count > 0 && count < slot->demand.backlog)
			add_start(plan, slot->database, SIERRA_NEVER);
	}
}

static void
count_slots(SierraPlan *plan)
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

/* Whom to ask to leave. */
typedef enum Asked
{
	ASK_ANY,		   /* at once */
	ASK_IN_TURN,	   /* an idle one at any time, a busy one after its slice */
	ASK_ONLY_LONG_IDLE /* one that has been idle for a slice */
} Asked;

/*
 * When this runner may be asked to leave.  Those that are idle come before all others, and
 * among them the one that has had nothing to do for the longest time.
 */
static SierraTime
leaves_at(SierraRunner *runner, Asked asked, int64 slice_ms)
{
	SierraTime active_at = (SierraTime) pg_atomic_read_u64(&runner->active_at);

	if (runner->state != SIERRA_RUNNER_RUNNING || pg_atomic_read_u32(&runner->leave) != 0)
		return SIERRA_NEVER;
	if (asked == ASK_ONLY_LONG_IDLE)
		return runner->idle ? sierra_after_ms(active_at, slice_ms) : SIERRA_NEVER;
	if (runner->idle)
		return active_at - SIERRA_NEVER / 2;
	return asked == ASK_ANY ? 0 : sierra_after_ms(runner->started, slice_ms);
}

/*
 * Asks this number of runners to leave, first those that are idle, then those
 * that started first.  A runner that becomes idle calls the launcher while
 * databases wait.
 */
static void
ask_to_leave(SierraPlan *plan, int count, Asked asked, SierraTime now)
{
	int64 slice_ms = SLICE_MS / Max(plan->wanted / Max(sierra_guc_max_runners, 1), 1);

	slice_ms = Max(slice_ms, SLICE_MIN_MS);
	while (count-- > 0)
	{
		SierraRunner *first = NULL;

		for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
		{
			SierraRunner *runner = &sierra_shared->runner[i];

			if (first == NULL ||
				leaves_at(runner, asked, slice_ms) < leaves_at(first, asked, slice_ms))
				first = runner;
		}
		if (leaves_at(first, asked, slice_ms) > now)
		{
			SierraTime later = sierra_after_ms(now, SLICE_MS);

			/* Also if all runners are just starting or leaving. */
			plan->wake_at = Min(plan->wake_at, Min(leaves_at(first, asked, slice_ms), later));
			return;
		}
		plan->leaving++;
		pg_atomic_write_u32(&first->leave, 1);
		SetLatch(first->latch);
	}
}

void
sierra_pool_plan(SierraPlan *plan, const List *unvisited, int ending, SierraTime now)
{
	int free_slots;

	memset(plan, 0, sizeof(SierraPlan));
	plan->wake_at = SIERRA_NEVER;
	plan->used = plan->leaving = ending;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	count_slots(plan);
	notice_stuck();
	find_wanting(plan, unvisited, now);
	free_slots = Max(sierra_guc_max_runners - plan->used, 0);
	if (plan->used - plan->leaving > sierra_guc_max_runners)
		ask_to_leave(plan, plan->used - plan->leaving - sierra_guc_max_runners, ASK_ANY, now);
	else if (sierra_guc_max_runners > 0 && plan->wanted > free_slots + plan->leaving)
		ask_to_leave(plan, plan->wanted - free_slots - plan->leaving, ASK_IN_TURN, now);
	pg_atomic_write_u32(&sierra_shared->waiting, plan->wanted > free_slots);
	find_silenced(plan);
	if (plan->wanted > free_slots + plan->leaving)
		ask_to_leave(plan, 1, ASK_ONLY_LONG_IDLE, now);
	find_busy(plan, now, free_slots);
	plan->count = Min(plan->count, free_slots);
	LWLockRelease(sierra_shared->lock);
}
