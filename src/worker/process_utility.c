/*
 * process_utility.c
 *		Statements that need a database for themselves end its runners.
 *
 * DROP DATABASE, CREATE DATABASE ... TEMPLATE, ALTER DATABASE ... RENAME and
 * SET TABLESPACE fail while another process is connected to the database, and
 * its runners are connected.  So before such a statement runs, a
 * hold on the database is entered in shared memory, and these processes are
 * asked to end.  No other is started while the hold exists.  It is removed when
 * the statement fails, and otherwise with the (sub)transaction of the statement.
 *
 * A hold keeps jobs from running.  So only a role that may run this very
 * statement enters one.
 *
 * Other statements ask for a runner: CREATE EXTENSION, and COMMIT PREPARED and ROLLBACK
 * PREPARED, which run no callback that could ring the doorbell.  A database that CREATE
 * DATABASE has made may have the extension, so the launcher looks.
 */
#include "postgres.h"

#include "base/compat.h"
#include "wakeup/counters.h"
#include "wakeup/doorbell.h"
#include "worker/process_utility.h"
#include "worker/runner_pool.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"

/*
 * Runners get a signal if they have not ended after the first
 * time.  After the second, the statement runs nevertheless, and may fail.
 * Milliseconds.
 */
#define SIGNAL_AFTER_MS 1000
#define GIVE_UP_AFTER_MS 5000

static ProcessUtility_hook_type next_process_utility = NULL;

/* By slots of sierra_shared->hold: in which subtransaction we entered it, or invalid. */
static SubTransactionId entered_in[SIERRA_HOLDS_MAX];

/* What is to be done at the end of this transaction. */
static bool holding = false;
static bool extension_created = false;
static bool database_created = false;
static Oid dropped_database = InvalidOid;

/* Enters a hold; -1 if none is free: the statement runs without it, and may fail. */
static int
enter_hold(Oid database)
{
	int entered = -1;

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SIERRA_HOLDS_MAX && entered < 0; i++)
	{
		SierraHold *hold = &sierra_shared->hold[i];

		if (OidIsValid(hold->database))
			continue;
		hold->database = database;
		hold->pid = MyProcPid;
		holding = true;
		entered = i;
		entered_in[i] = GetCurrentSubTransactionId();
	}
	LWLockRelease(sierra_shared->lock);
	return entered;
}

/* Must not raise errors.  Taking an LWLock cannot fail. */
static void
leave_hold(int index)
{
	entered_in[index] = InvalidSubTransactionId;
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	memset(&sierra_shared->hold[index], 0, sizeof(SierraHold));
	LWLockRelease(sierra_shared->lock);
	sierra_doorbell_call_launcher();
}

static void
leave_holds(void)
{
	for (int i = 0; i < SIERRA_HOLDS_MAX; i++)
	{
		if (entered_in[i] != InvalidSubTransactionId)
			leave_hold(i);
	}
}

/* Waits until the runners of a database have ended, at most GIVE_UP_AFTER_MS. */
static void
wait_for_end(Oid database)
{
	int waited = 0;

	while (sierra_pool_ask_to_leave(database, waited == SIGNAL_AFTER_MS) > 0 &&
		   waited < GIVE_UP_AFTER_MS)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		waited += 10;
	}
}

/*
 * May the current user create databases?  (The server's own function for this,
 * have_createdb_privilege(), is not exported by every minor release.)
 */
static bool
may_create_databases(void)
{
	HeapTuple role;
	bool may = false;

	if (superuser())
		return true;
	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(role))
	{
		may = ((Form_pg_authid) GETSTRUCT(role))->rolcreatedb;
		ReleaseSysCache(role);
	}
	return may;
}

static bool
is_template(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool is = false;

	if (HeapTupleIsValid(tuple))
	{
		is = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return is;
}

/* May the current user run this statement?  The rules of PostgreSQL itself. */
static bool
may_run(Node *statement, Oid database)
{
	bool owns = sierra_compat_owns_database(database, GetUserId());

	if (IsA(statement, CreatedbStmt))
		return may_create_databases() && (owns || is_template(database));
	return owns && (!IsA(statement, RenameStmt) || may_create_databases());
}

static const char *
template_of(const CreatedbStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

static bool
moves_tablespace(const AlterDatabaseStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
			return true;
	}
	return false;
}

/* The database that a statement needs for itself, or NULL. */
static const char *
database_needed(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_CreatedbStmt:
			return template_of((CreatedbStmt *) statement);
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			if (moves_tablespace((AlterDatabaseStmt *) statement))
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		default:
			return NULL;
	}
}

static void
run_next(PlannedStmt *planned, const char *query, bool read_only_tree,
		 ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
		 DestReceiver *receiver, QueryCompletion *completion)
{
	(next_process_utility != NULL ? next_process_utility : standard_ProcessUtility)(
		planned, query, read_only_tree, context, params, environment, receiver, completion);
}

/* What a statement that has run means for runners. */
static void
note_statement(Node *statement)
{
	SierraDatabaseSlot *slot;

	switch (nodeTag(statement))
	{
		case T_CreateExtensionStmt:
			if (strcmp(((CreateExtensionStmt *) statement)->extname, "sierra_es") == 0)
				extension_created = sierra_shared_own_slot() != NULL;
			break;
		case T_CreatedbStmt:
			database_created = true;
			break;
		case T_TransactionStmt:
			if (((TransactionStmt *) statement)->kind != TRANS_STMT_COMMIT_PREPARED &&
				((TransactionStmt *) statement)->kind != TRANS_STMT_ROLLBACK_PREPARED)
				break;
			LWLockAcquire(sierra_shared->lock, LW_SHARED);
			slot = sierra_shared_find_slot(MyDatabaseId);
			LWLockRelease(sierra_shared->lock);
			if (slot != NULL)
				sierra_doorbell_ring_all(slot);
			break;
		default:
			break;
	}
}

static void
process_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *receiver, QueryCompletion *completion)
{
	Node *statement = planned->utilityStmt;
	const char *name = sierra_shared != NULL ? database_needed(statement) : NULL;
	Oid database = name != NULL ? get_database_oid(name, true) : InvalidOid;
	volatile int hold = -1;

	if (!OidIsValid(database) || !may_run(statement, database))
		run_next(planned, query, read_only_tree, context, params, environment, receiver,
				 completion);
	else
	{
		PG_TRY();
		{
			hold = enter_hold(database);
			wait_for_end(database);
			run_next(planned, query, read_only_tree, context, params, environment, receiver,
					 completion);
		}
		PG_CATCH();
		{
			if (hold >= 0)
				leave_hold(hold);
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (IsA(statement, DropdbStmt))
			dropped_database = database;
	}
	if (sierra_shared != NULL)
		note_statement(statement);
}

/* A subtransaction that ends hands its holds to its parent, or gives them up. */
static void
finish_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (!holding || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	for (int i = 0; i < SIERRA_HOLDS_MAX; i++)
	{
		if (entered_in[i] != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			entered_in[i] = parent;
		else
			leave_hold(i);
	}
}

/* Must not raise errors.  Taking an LWLock cannot fail. */
static void
finish_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT && OidIsValid(dropped_database))
	{
		sierra_shared_forget_slot(dropped_database);
		sierra_counters_forget(dropped_database);
	}
	if (event == XACT_EVENT_COMMIT && extension_created)
		sierra_doorbell_want_runner(sierra_shared_own_slot());
	if (event == XACT_EVENT_COMMIT && database_created)
	{
		pg_atomic_write_u32(&sierra_shared->list_databases, 1);
		sierra_doorbell_call_launcher();
	}
	if (holding)
		leave_holds();
	dropped_database = InvalidOid;
	extension_created = database_created = holding = false;
}

void
sierra_process_utility_install(void)
{
	next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(finish_transaction, NULL);
	RegisterSubXactCallback(finish_subtransaction, NULL);
}
