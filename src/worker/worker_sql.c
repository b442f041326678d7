/*
 * worker_sql.c
 *		SQL functions that show what the background processes do, and that call runners.
 */
#include "postgres.h"

#include "store/store.h"
#include "wakeup/doorbell.h"
#include "wakeup/shared.h"
#include "worker/runner_pool.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sierra_event_databases);
PG_FUNCTION_INFO_V1(sierra_event_runners);
PG_FUNCTION_INFO_V1(sierra_call_runners);

#define DATABASE_COLUMNS 15

/* What is known about a database, copied from shared memory. */
typedef struct DatabaseInfo
{
	Oid database;
	SierraRunnerDemand demand;
	SierraRounds rounds;
	int64 unhandled_wakeups;
	int runners;
	bool held;
	bool refused; /* it has no slot */
	bool no_room; /* all of max_worker_processes are in use */
} DatabaseInfo;

static bool
is_waiting(const DatabaseInfo *info)
{
	return info->demand.waits_since != 0 && !info->held;
}

static const char *
state_name(const DatabaseInfo *info)
{
	if (info->refused)
		return "no place";
	if (is_waiting(info))
		return "waiting";
	if (info->runners > 0)
		return "served";
	if (info->held)
		return "held";
	return info->demand.no_extension ? "no extension" : "quiet";
}

/* What to change, or NULL. */
static const char *
hint_for(const DatabaseInfo *info)
{
	if (info->refused)
		return psprintf(
			"All %d places are taken. Increase \"sierra_es.max_databases\", and restart "
			"the server.",
			sierra_guc_max_databases);
	if (!is_waiting(info))
		return NULL;
	if (sierra_guc_max_runners == 0)
		return "There are no runners. Increase \"sierra_es.max_runners\".";
	if (info->no_room)
		return psprintf("All %d background workers are in use. Increase \"max_worker_processes\", "
						"and restart the server.",
						max_worker_processes);
	if (info->demand.failures > 0)
		return "Its runners end with an error; see \"last_error\" and the log.";
	return psprintf("All %d runners are in use. If this takes long, increase "
					"\"sierra_es.max_runners\".",
					sierra_guc_max_runners);
}

static void
set_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	values[column] = TimestampTzGetDatum(time);
	nulls[column] = (time == 0);
}

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = (text == NULL);
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
set_waiting(const DatabaseInfo *info, Datum *values, bool *nulls)
{
	Interval *waiting = palloc0(sizeof(Interval));

	nulls[4] = !is_waiting(info);
	waiting->time = sierra_now() - info->demand.waits_since;
	values[4] = IntervalPGetDatum(waiting);
	nulls[6] = info->refused || info->runners > 0 || info->demand.due_at == SIERRA_NEVER;
	values[6] = TimestampTzGetDatum(
		sierra_wall_of_time(Max(Max(info->demand.due_at, info->demand.retry_at), sierra_now())));
}

static void
put_database(ReturnSetInfo *result, const DatabaseInfo *info)
{
	char *name = get_database_name(info->database);
	Datum values[DATABASE_COLUMNS] = {0};
	bool nulls[DATABASE_COLUMNS] = {false};

	values[0] = ObjectIdGetDatum(info->database);
	nulls[1] = (name == NULL);
	if (name != NULL)
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(name));
	values[2] = CStringGetTextDatum(state_name(info));
	values[3] = Int32GetDatum(info->runners);
	set_waiting(info, values, nulls);
	set_text(values, nulls, 5, hint_for(info));
	set_time(values, nulls, 7, sierra_wall_of_time(info->demand.left_at));
	set_time(values, nulls, 8, info->rounds.last_sweep);
	set_time(values, nulls, 9, info->rounds.last_notify);
	values[10] = Int64GetDatum(info->rounds.notifications);
	values[11] = Int64GetDatum(info->unhandled_wakeups);
	values[12] = Int32GetDatum((int32) info->demand.failures);
	set_text(values, nulls, 13, info->rounds.last_error_at == 0 ? NULL : info->rounds.last_error);
	set_time(values, nulls, 14, info->rounds.last_error_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* False if the slot is free. */
static bool
copy_slot(SierraDatabaseSlot *slot, DatabaseInfo *info)
{
	memset(info, 0, sizeof(DatabaseInfo));
	LWLockAcquire(sierra_shared->lock, LW_SHARED);
	info->database = slot->database;
	info->demand = slot->demand;
	info->rounds = slot->rounds;
	info->unhandled_wakeups =
		pg_atomic_read_u64(&slot->wakeups) - pg_atomic_read_u64(&slot->wakeups_handled);
	info->no_room = sierra_shared->no_room;
	if (OidIsValid(info->database))
	{
		info->runners = sierra_pool_count(info->database);
		info->held = sierra_shared_is_held_locked(info->database);
	}
	LWLockRelease(sierra_shared->lock);
	return OidIsValid(info->database);
}

/* A row for each database that is known; none if the library is not preloaded. */
Datum
sierra_event_databases(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DatabaseInfo info;

	InitMaterializedSRF(fcinfo, 0);
	if (sierra_shared == NULL)
		return (Datum) 0;
	for (int i = 0; i < sierra_shared->slots_used; i++)
	{
		if (copy_slot(&sierra_slots[i], &info))
			put_database(result, &info);
	}
	for (int i = 0; i < SIERRA_REFUSED_MAX; i++)
	{
		LWLockAcquire(sierra_shared->lock, LW_SHARED);
		info = (DatabaseInfo){.database = sierra_shared->refused[i], .refused = true};
		LWLockRelease(sierra_shared->lock);
		if (OidIsValid(info.database))
			put_database(result, &info);
	}
	return (Datum) 0;
}

#define RUNNER_COLUMNS 8

/* One row, from a copy of what shared memory has. */
static void
put_runner(ReturnSetInfo *result, const SierraRunner *runner)
{
	char *database = get_database_name(runner->database);
	Datum values[RUNNER_COLUMNS] = {0};
	bool nulls[RUNNER_COLUMNS] = {false};

	values[0] = Int32GetDatum(runner->pid);
	nulls[1] = (database == NULL);
	if (database != NULL)
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(database));
	values[2] = TimestampTzGetDatum(runner->since);
	nulls[3] = (runner->job[0] == '\0');
	values[3] = CStringGetTextDatum(runner->job);
	values[4] = Int64GetDatum(runner->jobs);
	values[5] = Int64GetDatum(runner->events);
	nulls[6] = nulls[7] = (runner->last_error_at == 0);
	values[6] = CStringGetTextDatum(runner->last_error);
	values[7] = TimestampTzGetDatum(runner->last_error_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* A row for each runner that runs; none if the library is not preloaded. */
Datum
sierra_event_runners(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < SIERRA_RUNNERS_MAX && sierra_shared != NULL; i++)
	{
		SierraRunner runner;

		LWLockAcquire(sierra_shared->lock, LW_SHARED);
		runner = sierra_shared->runner[i];
		LWLockRelease(sierra_shared->lock);
		if (runner.state == SIERRA_RUNNER_RUNNING)
			put_runner(result, &runner);
	}
	return (Datum) 0;
}

/* Called in transactions that make a job, with any rights, so it checks none. */
Datum
sierra_call_runners(PG_FUNCTION_ARGS)
{
	sierra_doorbell_note_job(sierra_store_open(ACL_NO_RIGHTS));
	PG_RETURN_VOID();
}
