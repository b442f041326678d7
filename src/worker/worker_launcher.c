/*
 * worker_launcher.c
 *		Starts a notifier for each database that has the extension, and runners.
 *
 * Only a process that is connected to a database can see whether it has the
 * extension.  So when the launcher starts, it starts a notifier in every
 * database, one after the other; the notifier ends by itself if the extension
 * does not exist.  Later the launcher is called when a doorbell rings in a
 * database without a notifier, and when a notifier ends.
 *
 * A notifier enters itself in the slot of its database when it is ready, and
 * removes itself when it ends.  The launcher finds by its handle that a
 * notifier ended before it was ready.
 *
 * The launcher also starts the runners; which and when is decided in runner_pool.c.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/compat.h"
#include "worker/background.h"
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
 * The pause after a notifier that ended before it was ready, in milliseconds.
 * It doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

/* A notifier that was started, perhaps only to see whether the database has the extension. */
typedef struct Start
{
	Oid database;
	BackgroundWorkerHandle *handle;
} Start;

static List *starts = NIL;	  /* of Start: notifiers that have not ended, as far as known */
static List *unvisited = NIL; /* of Oid: databases in which no notifier was started yet */
static MemoryContext launcher_context = NULL;
static SierraNoRoom no_room;

void
sierra_launcher_register(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade || !IsPostmasterEnvironment)
		return;
	sierra_background_describe(&worker, "sierra_launcher_main", "launcher", InvalidOid);
	worker.bgw_restart_time = 1;
	RegisterBackgroundWorker(&worker);
}

/* Does the database exist, and may one connect to it?  In a transaction. */
static bool
is_connectable(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool connectable = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		connectable = row->datallowconn && !database_is_invalid_form(row);
		ReleaseSysCache(tuple);
	}
	return connectable;
}

static void
list_databases(void)
{
	Relation databases;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	databases = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(databases, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!row->datallowconn || row->datistemplate || database_is_invalid_form(row))
			continue;
		old = MemoryContextSwitchTo(launcher_context);
		unvisited = lappend_oid(unvisited, row->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(databases, AccessShareLock);
	CommitTransactionCommand();
}

/* Starts a notifier; false if there is no room for another process. */
static bool
start(Oid database)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	MemoryContext old;
	Start *asked;

	sierra_background_describe(&worker, "sierra_notifier_main", "notifier", database);
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	if (!sierra_background_start(&worker, launcher_context, &handle))
	{
		sierra_background_no_room(
			&no_room, "a notifier",
			"Increase \"max_worker_processes\".  Meanwhile there is no NOTIFY, and sessions that "
			"wait for events poll.");
		return false;
	}
	old = MemoryContextSwitchTo(launcher_context);
	asked = palloc(sizeof(Start));
	asked->database = database;
	asked->handle = handle;
	starts = lappend(starts, asked);
	MemoryContextSwitchTo(old);
	no_room.failures = 0;
	return true;
}

/* A notifier ended before it was ready: tries again, after a longer pause each time. */
static void
retry_later(SierraDatabaseSlot *slot, TimestampTz now)
{
	SierraNotifierInfo *info = &slot->notifier;

	info->state = SIERRA_NOTIFIER_WANTED;
	info->failures++;
	info->retry_at =
		TimestampTzPlusMilliseconds(now, sierra_backoff(info->failures, RETRY_MS, RETRY_MAX_MS));
}

/* Forgets notifiers that have ended.  One that ended before it was ready is started again. */
static void
check_starts(TimestampTz now)
{
	ListCell *cell;

	foreach (cell, starts)
	{
		Start *asked = lfirst(cell);
		SierraDatabaseSlot *slot;
		pid_t pid;

		if (GetBackgroundWorkerPid(asked->handle, &pid) != BGWH_STOPPED)
			continue;
		LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
		slot = sierra_shared_find_slot(asked->database);
		if (slot != NULL && slot->notifier.state == SIERRA_NOTIFIER_STARTING)
			retry_later(slot, now);
		LWLockRelease(sierra_shared->lock);
		pfree(asked->handle);
		pfree(asked);
		starts = foreach_delete_current(starts, cell);
	}
}

/*
 * Does this database need a notifier now?  If not yet, lowers *wake_at to the
 * time to ask again.  While a database needs none, its slot says that the
 * launcher listens; the first ring changes that.
 */
static bool
is_due(SierraDatabaseSlot *slot, TimestampTz now, TimestampTz *wake_at)
{
	SierraNotifierInfo *info = &slot->notifier;

	if (!OidIsValid(slot->database))
		return false;
	if (info->state == SIERRA_NOTIFIER_NONE &&
		pg_atomic_read_u32(&slot->listener) != SIERRA_LISTENER_LAUNCHER)
	{
		info->state = SIERRA_NOTIFIER_WANTED;
		info->retry_at = now;
	}
	if (info->state != SIERRA_NOTIFIER_WANTED || sierra_shared_is_held_locked(slot->database))
		return false;
	if (info->retry_at <= now)
		return true;
	*wake_at = Min(*wake_at, info->retry_at);
	return false;
}

/* Was a notifier started that has not ended? */
static bool
is_started(Oid database)
{
	ListCell *cell;

	foreach (cell, starts)
	{
		if (((Start *) lfirst(cell))->database == database)
			return true;
	}
	return false;
}

/* Is there a notifier that is neither ready nor has ended? */
static bool
is_visiting(void)
{
	ListCell *cell;
	bool visiting = false;

	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	foreach (cell, starts)
	{
		SierraDatabaseSlot *slot = sierra_shared_find_slot(((Start *) lfirst(cell))->database);

		visiting |= (slot == NULL || slot->notifier.state != SIERRA_NOTIFIER_RUNNING);
	}
	LWLockRelease(sierra_shared->lock);
	return visiting;
}

/* Nobody can connect to the database: it gets no notifier until its doorbell rings again. */
static void
give_up(Oid database)
{
	SierraDatabaseSlot *slot;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	if (slot != NULL && slot->notifier.state != SIERRA_NOTIFIER_RUNNING)
	{
		slot->notifier.state = SIERRA_NOTIFIER_NONE;
		pg_atomic_write_u32(&slot->listener, SIERRA_LISTENER_LAUNCHER);
	}
	LWLockRelease(sierra_shared->lock);
}

/*
 * Changes the state of a database's notifier, if the database has a slot and
 * the state is "from".
 */
static void
change_state(Oid database, SierraNotifierState from, SierraNotifierState to)
{
	SierraDatabaseSlot *slot;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot = sierra_shared_find_slot(database);
	if (slot != NULL && slot->notifier.state == from)
		slot->notifier.state = to;
	LWLockRelease(sierra_shared->lock);
}

/*
 * Starts the notifier of a database, or one that looks whether the database has
 * the extension.  False if there is no room for another process.
 */
static bool
start_in(Oid database)
{
	bool connectable;

	if (is_started(database))
		return true;
	StartTransactionCommand();
	connectable = is_connectable(database);
	CommitTransactionCommand();
	if (!connectable)
	{
		give_up(database);
		return true;
	}
	change_state(database, SIERRA_NOTIFIER_WANTED, SIERRA_NOTIFIER_STARTING);
	if (start(database))
		return true;
	change_state(database, SIERRA_NOTIFIER_STARTING, SIERRA_NOTIFIER_WANTED);
	return false;
}

/* Starts notifiers that are due; returns when to call again. */
static TimestampTz
start_due(TimestampTz now)
{
	TimestampTz wake_at = DT_NOEND;
	Oid due[SIERRA_DATABASES_MAX];
	int count = 0;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_DATABASES_MAX; i++)
	{
		if (is_due(&sierra_shared->slot[i], now, &wake_at))
			due[count++] = sierra_shared->slot[i].database;
	}
	LWLockRelease(sierra_shared->lock);

	if (now < no_room.until)
		return count > 0 || unvisited != NIL ? no_room.until : wake_at;
	for (int i = 0; i < count; i++)
	{
		if (!start_in(due[i]))
			return no_room.until;
	}

	/* One at a time, since a server can have many databases and few background workers. */
	while (unvisited != NIL && !is_visiting())
	{
		if (!start_in(linitial_oid(unvisited)))
			return no_room.until;
		unvisited = list_delete_first(unvisited);
	}
	return wake_at;
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

/* Forgets starts of the launcher before this one, whose handles are lost. */
static void
take_over(void)
{
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_DATABASES_MAX; i++)
	{
		if (sierra_shared->slot[i].notifier.state == SIERRA_NOTIFIER_STARTING)
			sierra_shared->slot[i].notifier.state = SIERRA_NOTIFIER_WANTED;
	}
	LWLockRelease(sierra_shared->lock);
}

static long
timeout_until(TimestampTz now, TimestampTz then)
{
	if (then == DT_NOEND)
		return -1L;
	return Min(TimestampDifferenceMilliseconds(now, then), INT_MAX);
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
	sierra_pool_take_over();
	list_databases();
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz wake_at;
		long timeout;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		check_starts(now);
		wake_at = start_due(now);
		wake_at = Min(wake_at, sierra_pool_schedule(now));
		timeout = timeout_until(now, wake_at);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0),
						 timeout, sierra_compat_wait_event("SierraLauncher"));
		ResetLatch(MyLatch);
	}
}
