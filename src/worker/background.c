/*
 * background.c
 *		What the background processes share: start, settings, transactions.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "store/early_release.h"
#include "worker/background.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/*
 * The pause after the server had no room for a process, in milliseconds.  It
 * doubles from the first value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

void
sierra_background_describe(BackgroundWorker *worker, const char *function, const char *type,
						   Oid database)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker->bgw_library_name, sizeof(worker->bgw_library_name), "sierra_es");
	snprintf(worker->bgw_function_name, sizeof(worker->bgw_function_name), "%s", function);
	snprintf(worker->bgw_type, sizeof(worker->bgw_type), "sierra_es %s", type);
	if (OidIsValid(database))
		snprintf(worker->bgw_name, sizeof(worker->bgw_name), "sierra_es %s for database %u", type,
				 database);
	else
		snprintf(worker->bgw_name, sizeof(worker->bgw_name), "sierra_es %s", type);
}

bool
sierra_background_start(BackgroundWorker *worker, MemoryContext context,
						BackgroundWorkerHandle **handle)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	bool started;

	worker->bgw_notify_pid = MyProcPid;
	started = RegisterDynamicBackgroundWorker(worker, handle);
	MemoryContextSwitchTo(old);
	return started;
}

void
sierra_background_no_room(SierraNoRoom *no_room)
{
	if (no_room->failures++ == 0)
		ereport(
			LOG, errmsg("could not start a runner of sierra_es"),
			errdetail("All %d background workers are in use.", max_worker_processes),
			errhint("Increase \"max_worker_processes\", or decrease \"sierra_es.max_runners\"."));
	no_room->until =
		sierra_after_ms(sierra_now(), sierra_backoff(no_room->failures, RETRY_MS, RETRY_MAX_MS));
}

static void
pin(const SierraSetting *settings, int count)
{
	for (int i = 0; i < count; i++)
		SetConfigOption(settings[i].name, settings[i].value, PGC_SUSET, PGC_S_OVERRIDE);
}

void
sierra_background_pin(const SierraSetting *settings, int count)
{
	static const SierraSetting always[] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
	};

	pin(always, lengthof(always));
	pin(settings, count);
}

void
sierra_background_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	sierra_push_new_snapshot();
	pgstat_report_activity(STATE_RUNNING, activity);
}

void
sierra_background_end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}
