/*
 * worker_sql.c
 *		SQL functions that show what the background processes do, and that call runners.
 */
#include "postgres.h"

#include "store/store.h"
#include "wakeup/doorbell.h"
#include "wakeup/shared.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sierra_event_notifiers);
PG_FUNCTION_INFO_V1(sierra_event_runners);
PG_FUNCTION_INFO_V1(sierra_call_runners);

#define NOTIFIER_COLUMNS 13

static const char *
state_name(const SierraNotifierInfo *info, bool held)
{
	if (held && info->state != SIERRA_NOTIFIER_RUNNING)
		return "held";
	switch (info->state)
	{
		case SIERRA_NOTIFIER_NONE:
			return "none";
		case SIERRA_NOTIFIER_WANTED:
			return "wanted";
		case SIERRA_NOTIFIER_STARTING:
			return "starting";
		case SIERRA_NOTIFIER_RUNNING:
			return "running";
	}
	return NULL;
}

static void
set_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	values[column] = TimestampTzGetDatum(time);
	nulls[column] = (time == 0);
}

/* One row, from a copy of what shared memory has. */
static void
put_notifier(ReturnSetInfo *result, Oid database, const SierraNotifierInfo *info, bool held,
			 uint64 unhandled)
{
	char *name = get_database_name(database);
	Datum values[NOTIFIER_COLUMNS] = {0};
	bool nulls[NOTIFIER_COLUMNS] = {false};

	values[0] = ObjectIdGetDatum(database);
	nulls[1] = (name == NULL);
	if (name != NULL)
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(name));
	values[2] = CStringGetTextDatum(state_name(info, held));
	values[3] = Int32GetDatum(info->pid);
	nulls[3] = (info->pid == 0);
	set_time(values, nulls, 4, info->started);
	set_time(values, nulls, 5, info->last_wake);
	set_time(values, nulls, 6, info->last_sweep);
	set_time(values, nulls, 7, info->last_notify);
	values[8] = Int64GetDatum(info->notifications);
	values[9] = Int64GetDatum((int64) unhandled);
	values[10] = Int32GetDatum((int32) info->failures);
	nulls[11] = (info->last_error_at == 0);
	values[11] = CStringGetTextDatum(info->last_error);
	set_time(values, nulls, 12, info->last_error_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* A row for each database that has a slot; none if the library is not preloaded. */
Datum
sierra_event_notifiers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < SIERRA_DATABASES_MAX && sierra_shared != NULL; i++)
	{
		SierraDatabaseSlot *slot = &sierra_shared->slot[i];
		SierraNotifierInfo info;
		Oid database;
		uint64 wakeups_handled;
		bool held;

		LWLockAcquire(sierra_shared->lock, LW_SHARED);
		database = slot->database;
		info = slot->notifier;
		SpinLockAcquire(&slot->mutex);
		info.last_wake = slot->notifier.last_wake;
		SpinLockRelease(&slot->mutex);
		held = OidIsValid(database) && sierra_shared_is_held_locked(database);
		wakeups_handled = pg_atomic_read_u64(&slot->wakeups_handled);
		LWLockRelease(sierra_shared->lock);
		if (OidIsValid(database))
			put_notifier(result, database, &info, held,
						 pg_atomic_read_u64(&slot->wakeups) - wakeups_handled);
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
	values[2] = TimestampTzGetDatum(runner->started);
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
