/*
 * guc.c
 *		The extension's settings.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

char *sierra_guc_store = NULL;
char *sierra_guc_metadata = NULL;
bool sierra_guc_strict_versioning = false;
bool sierra_guc_early_lock_release = false;
bool sierra_guc_restore = false;
int sierra_guc_notify = SIERRA_NOTIFY_RUNNER;
int sierra_guc_notify_interval = 10;
int sierra_guc_sweep_interval = 1000;
int sierra_guc_poll_interval = 50;
int sierra_guc_max_waiters = 64;
int sierra_guc_max_runners = 2;
bool sierra_guc_run_jobs = true;
bool sierra_guc_run_jobs_of_server = true;
char *sierra_guc_paused_stores = NULL;
char *sierra_guc_paused_stores_of_server = NULL;
int sierra_guc_max_databases = 1000;
int sierra_guc_job_timeout = 600000;

static const struct config_enum_entry notify_options[] = {
	{"runner", SIERRA_NOTIFY_RUNNER, false},
	{"transaction", SIERRA_NOTIFY_TRANSACTION, false},
	{"off", SIERRA_NOTIFY_OFF, false},
	{NULL, 0, false},
};

/* A longer name would be truncated, and could then be the name of another store. */
static bool
check_store(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) >= NAMEDATALEN)
	{
		GUC_check_errdetail("A store name has at most %d bytes.", NAMEDATALEN - 1);
		return false;
	}
	return true;
}

static bool
check_metadata(char **newval, void **extra, GucSource source)
{
	const char *start = *newval + strspn(*newval, " \t\r\n");

	if (**newval == '\0')
		return true;
	if (*start == '{' && sierra_compat_is_json(*newval))
		return true;
	GUC_check_errdetail("It must be a JSON object, or empty.");
	return false;
}

/* Was the library loaded when the server started? */
static bool preloaded = false;

static bool
check_early_lock_release(bool *newval, void **extra, GucSource source)
{
	if (!*newval || preloaded)
		return true;
	GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
	GUC_check_errmsg("\"sierra_es.early_lock_release\" needs the library in "
					 "\"shared_preload_libraries\"");
	GUC_check_errdetail("Sessions share in memory which commits are not flushed "
						"yet, and the server was started without it.");
	GUC_check_errhint("Add sierra_es to \"shared_preload_libraries\" and restart the server.");
	return false;
}

/* Remembers what holds for databases that set nothing else: the server's own value. */
static bool
check_run_jobs(bool *newval, void **extra, GucSource source)
{
	if (source < PGC_S_DATABASE)
		sierra_guc_run_jobs_of_server = *newval;
	return true;
}

static bool
check_paused_stores(char **newval, void **extra, GucSource source)
{
	char *copy = pstrdup(*newval);
	List *names;
	bool valid = SplitIdentifierString(copy, ',', &names);

	if (!valid)
		GUC_check_errdetail("It must be a list of names, separated by commas.");
	else if (source < PGC_S_DATABASE)
	{
		if (sierra_guc_paused_stores_of_server != NULL)
			pfree(sierra_guc_paused_stores_of_server);
		sierra_guc_paused_stores_of_server = MemoryContextStrdup(TopMemoryContext, *newval);
	}
	list_free(names);
	pfree(copy);
	return valid;
}

/* Settings for wait.c, doorbell.c and notify_round.c. */
static void
define_notification_settings(void)
{
	DefineCustomEnumVariable(
		"sierra_es.notify", "Selects which process sends NOTIFY sierra_es for appends.",
		"It is a runner (needs shared_preload_libraries), the session that appends, or none.",
		&sierra_guc_notify, SIERRA_NOTIFY_RUNNER, notify_options, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("sierra_es.notify_interval",
							"Sets the minimum time between two rounds of NOTIFY in a database.",
							"Appends in between share one notification per store.",
							&sierra_guc_notify_interval, 10, 0, 60000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.sweep_interval",
		"Sets the time after which runners and waiting sessions look for events without a "
		"wake-up.",
		"This finds events that wake no process: those of logical replication and restored rows.",
		&sierra_guc_sweep_interval, 1000, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.poll_interval",
		"Sets the time after which a waiting session looks for events if commits do not wake it.",
		"This is the case without shared_preload_libraries, and on a standby.",
		&sierra_guc_poll_interval, 50, 1, 60000, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("sierra_es.max_waiters",
							"Sets the maximum number of sessions of a database that wait for "
							"events at the same time.",
							NULL, &sierra_guc_max_waiters, 64, 0, 100000, PGC_SIGHUP, 0, NULL, NULL,
							NULL);
}

static void
define_runner_settings(void)
{
	DefineCustomIntVariable(
		"sierra_es.max_runners",
		"Sets the maximum number of runners: processes that send NOTIFY, and run timers, sagas "
		"and projections.",
		"They serve all databases of the server in turn; this needs shared_preload_libraries.",
		&sierra_guc_max_runners, 2, 0, SIERRA_RUNNERS_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.max_databases",
		"Sets the maximum number of databases in which runners work and commits wake sessions.",
		"The server reserves about a kilobyte of shared memory for each.",
		&sierra_guc_max_databases, 1000, 1, 100000,
		process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP, 0, NULL, NULL,
		NULL);

	DefineCustomIntVariable(
		"sierra_es.job_timeout",
		"Sets the time that an event, a step of a saga or a timer may take in a runner.",
		"What takes longer is cancelled, and counts as a failed attempt.  0 means no limit.",
		&sierra_guc_job_timeout, 600000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.run_jobs", "Lets timers, sagas and projections of a database run by themselves.",
		"Set it for a database; runners and run_event_jobs() run nothing while it is off.",
		&sierra_guc_run_jobs, true, PGC_USERSET, 0, check_run_jobs, NULL, NULL);

	DefineCustomStringVariable(
		"sierra_es.paused_stores",
		"Names the event stores whose timers, sagas and projections do not run by themselves.",
		"Set it for a database; the names are separated by commas.", &sierra_guc_paused_stores, "",
		PGC_USERSET, 0, check_paused_stores, NULL, NULL);
}

void
sierra_guc_define(void)
{
	preloaded = process_shared_preload_libraries_in_progress;

	DefineCustomStringVariable("sierra_es.store",
							   "Names the event store that the functions of sierra_es use.",
							   "A store is a schema that create_event_store() created.",
							   &sierra_guc_store, "es", PGC_USERSET, 0, check_store, NULL, NULL);

	DefineCustomStringVariable(
		"sierra_es.metadata", "Sets members for the metadata of every event that is appended.",
		"It is a JSON object; members that the append itself passes take precedence.",
		&sierra_guc_metadata, "", PGC_USERSET, 0, check_metadata, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.strict_versioning",
		"Refuses appends that do not say which version of the stream they expect.",
		"The expected versions any and exists are then errors, as they are by default in SierraDB.",
		&sierra_guc_strict_versioning, false, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.early_lock_release",
		"Lets appends release their locks before their commit is flushed to disk.",
		"The client still gets its answer after the flush; this needs shared_preload_libraries.",
		&sierra_guc_early_lock_release, false, PGC_USERSET, 0, check_early_lock_release, NULL,
		NULL);

	DefineCustomBoolVariable(
		"sierra_es.restore",
		"Lets the owner of a store load the rows of a data-only dump into its event tables.",
		"Otherwise COPY and INSERT into event tables, and DROP of a store that has events, are "
		"refused; check the result with everify().",
		&sierra_guc_restore, false, PGC_USERSET, 0, NULL, NULL, NULL);

	define_notification_settings();
	define_runner_settings();
	MarkGUCPrefixReserved("sierra_es");
}
