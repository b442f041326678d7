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
int sierra_guc_notify = SIERRA_NOTIFY_NOTIFIER;
int sierra_guc_notify_interval = 10;
int sierra_guc_sweep_interval = 1000;
int sierra_guc_poll_interval = 50;
int sierra_guc_max_waiters = 64;
int sierra_guc_max_runners = 2;
int sierra_guc_job_timeout = 600000;

static const struct config_enum_entry notify_options[] = {
	{"notifier", SIERRA_NOTIFY_NOTIFIER, false},
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

/* Settings for wait.c, doorbell.c and notifier.c. */
static void
define_notification_settings(void)
{
	DefineCustomEnumVariable(
		"sierra_es.notify", "Selects which process sends NOTIFY sierra_es for appends.",
		"It is the notifier of the database (needs shared_preload_libraries), the session that "
		"appends, or none.",
		&sierra_guc_notify, SIERRA_NOTIFY_NOTIFIER, notify_options, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("sierra_es.notify_interval",
							"Sets the minimum time between two rounds of NOTIFY of a notifier.",
							"Appends in between share one notification per store.",
							&sierra_guc_notify_interval, 10, 0, 60000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.sweep_interval",
		"Sets the time after which notifiers and waiting sessions look for events without a "
		"wake-up.",
		"This finds events that wake no process: those of COMMIT PREPARED, logical replication "
		"and restored rows.",
		&sierra_guc_sweep_interval, 1000, 10, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.poll_interval",
		"Sets the time after which a waiting session looks for events if there is no notifier.",
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
		"Sets the maximum number of runners: processes that run timers, sagas and projections.",
		"They serve all databases of the server in turn; this needs shared_preload_libraries.",
		&sierra_guc_max_runners, 2, 0, SIERRA_RUNNERS_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"sierra_es.job_timeout",
		"Sets the time that an event, a step of a saga or a timer may take in a runner.",
		"What takes longer is cancelled, and counts as a failed attempt.  0 means no limit.",
		&sierra_guc_job_timeout, 600000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

void
sierra_guc_define(void)
{
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
		"sierra_es.restore",
		"Lets the owner of a store load the rows of a data-only dump into its event tables.",
		"Otherwise COPY and INSERT into event tables, and DROP of a store that has events, are "
		"refused; check the result with everify().",
		&sierra_guc_restore, false, PGC_USERSET, 0, NULL, NULL, NULL);

	define_notification_settings();
	define_runner_settings();
	MarkGUCPrefixReserved("sierra_es");
}
