/*
 * guc.c
 *		The extension's settings.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"

#include "utils/guc.h"

char *sierra_guc_store = NULL;
char *sierra_guc_metadata = NULL;
bool sierra_guc_strict_versioning = false;
bool sierra_guc_restore = false;
int sierra_guc_notify = SIERRA_NOTIFY_WORKER;
int sierra_guc_notify_interval = 10;
int sierra_guc_sweep_interval = 1000;
int sierra_guc_poll_interval = 50;
int sierra_guc_max_waiters = 64;
int sierra_guc_workers = 2;

static const struct config_enum_entry notify_options[] = {
	{"worker", SIERRA_NOTIFY_WORKER, false},
	{"transaction", SIERRA_NOTIFY_TRANSACTION, false},
	{"off", SIERRA_NOTIFY_OFF, false},
	{NULL, 0, false},
};

/* A longer name could be cut to that of another store. */
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

/* Wake-ups: wait.c, doorbell.c, notifier.c. */
static void
define_notification_settings(void)
{
	DefineCustomEnumVariable(
		"sierra_es.notify", "Chooses who sends NOTIFY sierra_es for appends.",
		"The worker of the database (needs shared_preload_libraries), the transaction of the "
		"append itself, or nobody.",
		&sierra_guc_notify, SIERRA_NOTIFY_WORKER, notify_options, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("sierra_es.notify_interval",
							"Sets the least time between two rounds of NOTIFY of the worker.",
							"Appends in between share one notification per store.",
							&sierra_guc_notify_interval, 10, 0, 60000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.sweep_interval",
		"Sets the time after which worker and waiting sessions look without being woken.",
		"Finds what wakes nobody: COMMIT PREPARED, logical replication, restored rows.",
		&sierra_guc_sweep_interval, 1000, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.poll_interval",
		"Sets the time between two looks of a waiting session that nobody wakes.",
		"Without shared_preload_libraries, and on a standby.", &sierra_guc_poll_interval, 50, 1,
		60000, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable("sierra_es.max_waiters",
							"Sets how many sessions of a database may wait for events at a time.",
							NULL, &sierra_guc_max_waiters, 64, 0, 100000, PGC_SIGHUP, 0, NULL, NULL,
							NULL);
}

static void
define_runner_settings(void)
{
	DefineCustomIntVariable(
		"sierra_es.workers",
		"Sets how many processes run timers, sagas and projections by themselves.",
		"They serve all databases of the server in turn; needs "
		"shared_preload_libraries.",
		&sierra_guc_workers, 2, 0, SIERRA_RUNNERS_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

/* Defines all settings; called once per process, by _PG_init. */
void
sierra_guc_define(void)
{
	DefineCustomStringVariable("sierra_es.store",
							   "Names the event store that functions of sierra_es use.",
							   "A store is a schema made by create_event_store().",
							   &sierra_guc_store, "es", PGC_USERSET, 0, check_store, NULL, NULL);

	DefineCustomStringVariable(
		"sierra_es.metadata", "Sets members of the metadata of every event that is appended.",
		"A JSON object; what an append itself gives takes precedence.", &sierra_guc_metadata, "",
		PGC_USERSET, 0, check_metadata, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.strict_versioning",
		"Refuses appends that do not say which version of the stream they expect.",
		"The expected versions any and exists are errors, as is the default of SierraDB.",
		&sierra_guc_strict_versioning, false, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.restore",
		"Lets the owner of a store load rows of a data-only dump into its event tables.",
		"COPY and INSERT into event tables are refused otherwise; check the result with everify().",
		&sierra_guc_restore, false, PGC_USERSET, 0, NULL, NULL, NULL);

	define_notification_settings();
	define_runner_settings();
	MarkGUCPrefixReserved("sierra_es");
}
