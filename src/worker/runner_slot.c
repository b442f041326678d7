/*
 * runner_slot.c
 *		How a runner takes its slot, and how it leaves.
 *
 * When it leaves, it records for the launcher when the database needs a runner again.
 * It sees to it that no ring is lost between its end and the start of the next one.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "store/extension.h"
#include "wakeup/doorbell.h"
#include "worker/background.h"
#include "worker/notify_round.h"
#include "worker/runner_pool.h"
#include "worker/runner_slot.h"
#include "worker/store_watch.h"

#include "miscadmin.h"
#include "storage/ipc.h"

/*
 * A database without a runner gets one at least this often, in milliseconds, to find
 * what did not ring; less often if there are very many databases.  After a runner found
 * something, the first visit comes sooner, and each pause is twice the one before.
 */
#define VISIT_INTERVAL_MS 60000
#define VISIT_PAUSE_OF_EACH_MS 1000
#define FIRST_VISIT_PAUSE_MS 1000

/* A runner that ran for this time, in milliseconds, did not fail to start. */
#define STARTED_WELL_MS 10000

/*
 * The pause before the next start, from the second failure in a row on, in
 * milliseconds.  It doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

SierraRunner *sierra_own_runner = NULL;
SierraDatabaseSlot *sierra_own_database = NULL;
uint64 sierra_own_seen = 0;

/* It leaves by its own decision, which is not a failure. */
static bool left = false;

/* When the database needs a runner again; 0: at once, SIERRA_NEVER: not before it rings. */
static SierraTime return_at = 0;

/*
 * Records for the launcher when the database needs a runner again.  After
 * failures in a row, the pauses before the next start get longer.
 */
static void
record_departure(SierraRunnerDemand *demand, SierraTime now)
{
	demand->left_at = now;
	demand->backlog = 0;
	demand->due_at = left ? return_at : 0;
	if (left || sierra_is_past(sierra_own_runner->started, now, STARTED_WELL_MS))
		demand->failures = 0;
	demand->retry_at = now;
	if (left)
		return;
	if (demand->failures > 0)
		demand->retry_at =
			sierra_after_ms(now, sierra_backoff(demand->failures, RETRY_MS, RETRY_MAX_MS));
	demand->failures++;
}

/*
 * From now on a ring calls the launcher, if no other runner listens.  A ring before
 * that is noticed by its count.
 */
static void
leave_to_launcher(SierraDatabaseSlot *known)
{
	if (sierra_pool_free_count(known->database) > 0)
		return;
	/* A full barrier. */
	(void) pg_atomic_fetch_or_u32(&known->listeners, SIERRA_LISTEN_LAUNCHER);
	if (pg_atomic_read_u64(&known->wakeups) != sierra_own_seen)
		known->demand.due_at = 0;
}

static void
detach(int code, Datum arg)
{
	SierraTime now = sierra_now();
	SierraDatabaseSlot *known;

	if (sierra_own_database != NULL)
		sierra_rounds_end();
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	known = sierra_shared_find_slot(sierra_own_runner->database);
	sierra_own_runner->state = SIERRA_RUNNER_FREE;
	if (known != NULL)
	{
		record_departure(&known->demand, now);
		leave_to_launcher(known);
	}
	sierra_own_runner->database = InvalidOid;
	sierra_own_runner->serves = (SierraJobOwner){InvalidOid, InvalidOid};
	sierra_own_runner->latch = NULL;
	sierra_own_runner->pid = 0;
	LWLockRelease(sierra_shared->lock);
	sierra_doorbell_call_launcher();
}

void
sierra_runner_leave(SierraTime when)
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
Oid
sierra_runner_attach(int index, uint32 token)
{
	Oid database = InvalidOid;
	SierraDatabaseSlot *known;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_own_runner = &sierra_shared->runner[index];
	if (sierra_own_runner->state == SIERRA_RUNNER_STARTING && sierra_own_runner->token == token)
	{
		database = sierra_own_runner->database;
		sierra_own_runner->state = SIERRA_RUNNER_RUNNING;
		sierra_own_runner->pid = MyProcPid;
		sierra_own_runner->latch = MyLatch;
		sierra_own_runner->started = sierra_now();
		sierra_own_runner->since = GetCurrentTimestamp();
		known = sierra_shared_find_slot(database);
		if (known != NULL)
			sierra_own_seen = pg_atomic_read_u64(&known->wakeups);
	}
	LWLockRelease(sierra_shared->lock);

	/*
	 * Callbacks run in the reverse order.  InitPostgres() registers the one that takes
	 * the process out of the list of those connected to a database, and it has not run
	 * yet.  So a slot is free only when this process is connected to nothing any more:
	 * DROP DATABASE ... WITH (FORCE) refuses to end a runner for an owner who is not a
	 * superuser.
	 */
	if (OidIsValid(database))
		on_shmem_exit(detach, (Datum) 0);
	return database;
}

/* Only a ring shows that the extension may have been created. */
void
sierra_runner_leave_without_extension(void)
{
	SierraDatabaseSlot *known;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_own_runner->looked = true;
	known = sierra_shared_find_slot(MyDatabaseId);
	if (known != NULL)
		known->demand.no_extension = true;
	LWLockRelease(sierra_shared->lock);
	sierra_runner_leave(SIERRA_NEVER);
}

/* The pause before the next visit for what rings nothing, in milliseconds. */
int64
sierra_runner_visit_pause(void)
{
	SierraRunnerDemand *demand = &sierra_own_database->demand;
	int64 longest;
	int64 pause;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	longest = Max(VISIT_INTERVAL_MS, (int64) sierra_shared->slots_used * VISIT_PAUSE_OF_EACH_MS);
	if (sierra_watch_found_unrung())
		demand->visit_pause_ms = FIRST_VISIT_PAUSE_MS;
	else if (demand->visit_pause_ms > 0)
		demand->visit_pause_ms *= 2;
	if (demand->visit_pause_ms >= longest)
		demand->visit_pause_ms = 0;
	pause = demand->visit_pause_ms > 0 ? demand->visit_pause_ms : longest;
	LWLockRelease(sierra_shared->lock);
	return pause;
}

/* Does the database have the extension? */
static bool
is_installed(void)
{
	bool installed;

	sierra_background_begin("looking for the extension");
	installed = sierra_extension_exists();
	sierra_background_end();
	return installed;
}

/* Takes the slot of the database, which only one with the extension gets. */
void
sierra_runner_enter(void)
{
	bool alone;

	if (!is_installed())
		sierra_runner_leave_without_extension();
	sierra_own_database = sierra_shared_own_slot();
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_own_runner->looked = true;
	alone = sierra_pool_free_count(MyDatabaseId) <= 1;
	if (sierra_own_database != NULL)
		sierra_own_database->demand.no_extension = false;
	LWLockRelease(sierra_shared->lock);
	if (sierra_own_database == NULL)
		sierra_runner_leave(SIERRA_NEVER);
	/* Now this runner listens. */
	(void) pg_atomic_fetch_and_u32(&sierra_own_database->listeners, ~SIERRA_LISTEN_LAUNCHER);
	sierra_rounds_begin(sierra_own_database, alone);
}
