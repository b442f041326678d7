/*
 * worker_launcher.c
 *		Starts runners where databases need them.
 *
 * Only a process that is connected to a database can see whether it has the
 * extension.  So when the launcher starts, it sends a runner to every database; the
 * runner ends by itself if the extension does not exist.  Later the launcher is called
 * when a doorbell rings in a database without a runner, and when a runner ends.  Which
 * databases get a runner, and when, is decided in runner_pool.c.
 *
 * A runner enters itself in its slot when it is ready, and removes itself when it ends.
 * The launcher finds by its handle that a runner ended before it was ready.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/compat.h"
#include "base/guc.h"
#include "worker/background.h"
#include "worker/process_utility.h"
#include "worker/runner_pool.h"
#include "worker/worker_launcher.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * The pause after a runner that ended before it was ready, in milliseconds.  It
 * doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

/* The launcher lists the databases at least this often, in milliseconds. */
#define LIST_INTERVAL_MS 60000

/* A runner that the launcher has started, by its slot. */
typedef struct Start
{
	BackgroundWorkerHandle *handle;
	Oid database;
} Start;

static Start starts[SIERRA_RUNNERS_MAX];
static uint32 last_token = 0;

static List *known = NIL;	  /* of Oid: databases that were visited, or are to be */
static List *unvisited = NIL; /* of Oid: those without a slot that nobody has looked at */
static SierraTime list_due = 0;
static uint32 failed_visits = 0; /* in a row */
static MemoryContext launcher_context = NULL;
static SierraNoRoom no_room;

void
sierra_background_preload(void)
{
	BackgroundWorker worker;

	sierra_shared_request();
	sierra_process_utility_install();
	if (IsBinaryUpgrade || !IsPostmasterEnvironment)
		return;
	sierra_background_describe(&worker, "sierra_launcher_main", "launcher", InvalidOid);
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}

/* Does the database exist, and may one connect to it? */
static bool
is_connectable(Oid database)
{
	HeapTuple tuple;
	bool connectable = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		connectable = row->datallowconn && !database_is_invalid_form(row);
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	return connectable;
}

/* A database that the launcher did not know is to be visited. */
static void
add_database(Oid database)
{
	MemoryContext old = MemoryContextSwitchTo(launcher_context);
	SierraDatabaseSlot *slot;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	if (slot != NULL)
		slot->demand.due_at = 0;
	else
		unvisited = lappend_oid(unvisited, database);
	LWLockRelease(sierra_shared->lock);
	MemoryContextSwitchTo(old);
}

/* Lists the databases; those that are not known are visited. */
static void
list_databases(SierraTime now)
{
	Relation databases;
	TableScanDesc scan;
	HeapTuple tuple;
	List *listed = NIL;
	MemoryContext old;

	if (pg_atomic_exchange_u32(&sierra_shared->list_databases, 0) == 0 && now < list_due)
		return;
	list_due = sierra_after_ms(now, LIST_INTERVAL_MS);
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	databases = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(databases, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		if (!row->datallowconn || row->datistemplate || database_is_invalid_form(row))
			continue;
		if (!list_member_oid(known, row->oid))
			add_database(row->oid);
		old = MemoryContextSwitchTo(launcher_context);
		listed = lappend_oid(listed, row->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(databases, AccessShareLock);
	CommitTransactionCommand();
	list_free(known);
	known = listed;
}

/*
 * A runner ended without taking its slot, or without looking at the database: tries
 * again, after a longer pause each time.
 */
static void
check_end(Oid database, SierraRunner *runner, SierraTime now)
{
	SierraDatabaseSlot *slot = sierra_shared_find_slot(database);

	if (runner->looked)
		failed_visits = 0;
	else if (slot == NULL)
	{
		/* It is found again when the databases are listed. */
		known = list_delete_oid(known, database);
		list_due =
			Min(list_due,
				sierra_after_ms(now, sierra_backoff(++failed_visits, RETRY_MS, RETRY_MAX_MS)));
	}
	if (runner->state != SIERRA_RUNNER_STARTING)
		return;
	runner->state = SIERRA_RUNNER_FREE;
	runner->database = InvalidOid;
	if (slot == NULL)
		return;
	slot->demand.failures++;
	slot->demand.retry_at =
		sierra_after_ms(now, sierra_backoff(slot->demand.failures, RETRY_MS, RETRY_MAX_MS));
	slot->demand.left_at = now;
	slot->demand.due_at = 0;
}

/*
 * Finds runners that have ended.  Returns how many are about to: they take a place in
 * max_worker_processes, though not in a slot.  The postmaster signals their end.
 */
static int
forget_dead(SierraTime now)
{
	int ending = 0;

	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		Start *start = &starts[i];
		pid_t pid;

		if (start->handle == NULL)
			continue;
		if (GetBackgroundWorkerPid(start->handle, &pid) != BGWH_STOPPED)
		{
			if (sierra_shared->runner[i].state == SIERRA_RUNNER_FREE)
				ending++;
			continue;
		}
		pfree(start->handle);
		start->handle = NULL;
		LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
		check_end(start->database, &sierra_shared->runner[i], now);
		LWLockRelease(sierra_shared->lock);
	}
	return ending;
}

/* Frees slots that the launcher before this one has reserved, and whose handles are lost. */
static void
take_over(void)
{
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_RUNNERS_MAX; i++)
	{
		SierraRunner *runner = &sierra_shared->runner[i];

		last_token = Max(last_token, runner->token);
		if (runner->state == SIERRA_RUNNER_STARTING)
		{
			runner->state = SIERRA_RUNNER_FREE;
			runner->database = InvalidOid;
		}
	}
	LWLockRelease(sierra_shared->lock);
}

static void
reserve_slot(SierraRunner *runner, Oid database, uint32 token)
{
	SierraDatabaseSlot *slot = sierra_shared_find_slot(database);

	pg_atomic_write_u32(&runner->leave, 0);
	pg_atomic_write_u32(&runner->stuck, SIERRA_NOT_STUCK);
	pg_atomic_write_u64(&runner->active_at, sierra_now());
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
	runner->idle = runner->looked = false;
	runner->jobs = runner->events = 0;
	runner->started = 0;
	runner->since = runner->last_error_at = 0;
	runner->job[0] = runner->last_error[0] = '\0';
}

/* Reserves a free slot; returns its index, or -1. */
static int
take_slot(Oid database, uint32 token)
{
	int index = -1;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_RUNNERS_MAX && index < 0; i++)
	{
		if (sierra_shared->runner[i].state != SIERRA_RUNNER_FREE || starts[i].handle != NULL)
			continue;
		index = i;
		reserve_slot(&sierra_shared->runner[i], database, token);
	}
	LWLockRelease(sierra_shared->lock);
	return index;
}

/* Did the server have room for another background worker? */
static void
note_room(bool room, SierraRunner *runner)
{
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	sierra_shared->no_room = !room;
	if (!room)
	{
		runner->state = SIERRA_RUNNER_FREE;
		runner->database = InvalidOid;
	}
	LWLockRelease(sierra_shared->lock);
	if (room)
		no_room.failures = 0;
	else
		sierra_background_no_room(&no_room);
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
	started = sierra_background_start(&worker, launcher_context, &starts[index].handle);
	note_room(started, &sierra_shared->runner[index]);
	if (started)
	{
		starts[index].database = database;
		unvisited = list_delete_oid(unvisited, database);
	}
	else
		starts[index].handle = NULL;
	return started;
}

/* Nobody can connect to the database: it gets no runner until its doorbell rings again. */
static void
give_up(Oid database)
{
	SierraDatabaseSlot *slot;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	if (slot != NULL)
	{
		slot->demand.due_at = SIERRA_NEVER;
		(void) pg_atomic_fetch_or_u32(&slot->listeners, SIERRA_LISTEN_LAUNCHER);
	}
	LWLockRelease(sierra_shared->lock);
	unvisited = list_delete_oid(unvisited, database);
	known = list_delete_oid(known, database);
}

/* Starts the runners that are due; returns when to call again. */
static SierraTime
start_due(SierraTime now)
{
	SierraPlan plan;
	int ending = forget_dead(now);

	sierra_pool_plan(&plan, unvisited, ending, now);
	if (plan.count > 0 && now < no_room.until)
		return Min(plan.wake_at, no_room.until);
	for (int i = 0; i < plan.count; i++)
	{
		if (!is_connectable(plan.start[i]))
			give_up(plan.start[i]);
		else if (!start_runner(plan.start[i]))
			return Min(plan.wake_at, no_room.until);
	}
	return plan.wake_at;
}

static void
detach(int code, Datum arg)
{
	SpinLockAcquire(&sierra_shared->mutex);
	sierra_shared->launcher_latch = NULL;
	SpinLockRelease(&sierra_shared->mutex);
}

static void
attach(void)
{
	SpinLockAcquire(&sierra_shared->mutex);
	sierra_shared->launcher_latch = MyLatch;
	SpinLockRelease(&sierra_shared->mutex);
	before_shmem_exit(detach, (Datum) 0);
}

/*
 * After a reload, runners visit every database: some changes of settings have work there.
 */
static void
reload(void)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < sierra_shared->slots_used; i++)
	{
		if (!sierra_slots[i].demand.no_extension)
			sierra_slots[i].demand.due_at = 0;
	}
	LWLockRelease(sierra_shared->lock);
}

void
sierra_launcher_main(Datum unused)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	launcher_context =
		AllocSetContextCreate(TopMemoryContext, "sierra_es launcher", ALLOCSET_DEFAULT_SIZES);
	attach();
	take_over();
	for (;;)
	{
		SierraTime now = sierra_now();
		SierraTime wake_at;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload();
		list_databases(now);
		wake_at = Min(start_due(now), list_due);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 sierra_ms_until(sierra_now(), wake_at),
						 sierra_compat_wait_event("SierraLauncher"));
		ResetLatch(MyLatch);
	}
}
