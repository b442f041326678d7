/*
 * worker_sql.c
 *		What the workers of databases do, as an SQL function.
 */
#include "postgres.h"

#include "wakeup/doorbell.h"
#include "worker/process_utility.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sierra_workers);

#define WORKER_COLUMNS 13

static const char *
state_name(const SierraWorkerInfo *info, bool held)
{
	if (held && info->state != SIERRA_WORKER_RUNNING)
		return "held";
	switch (info->state)
	{
		case SIERRA_WORKER_NONE:
			return "none";
		case SIERRA_WORKER_WANTED:
			return "wanted";
		case SIERRA_WORKER_STARTING:
			return "starting";
		case SIERRA_WORKER_RUNNING:
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
put_worker(ReturnSetInfo *result, Oid database, const SierraWorkerInfo *info, bool held,
		   uint64 unheard)
{
	char *name = get_database_name(database);
	Datum values[WORKER_COLUMNS] = {0};
	bool nulls[WORKER_COLUMNS] = {false};

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
	values[9] = Int64GetDatum((int64) unheard);
	values[10] = Int32GetDatum((int32) info->failures);
	nulls[11] = (info->last_error_at == 0);
	values[11] = CStringGetTextDatum(info->last_error);
	set_time(values, nulls, 12, info->last_error_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* A row for each database that has a bell; none without preloading. */
Datum
sierra_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < SIERRA_BELLS && sierra_doorbell != NULL; i++)
	{
		SierraBell *bell = &sierra_doorbell->bell[i];
		SierraWorkerInfo info;
		Oid database;
		uint64 heard;
		bool held;

		LWLockAcquire(sierra_doorbell->lock, LW_SHARED);
		database = bell->database;
		info = bell->worker;
		SpinLockAcquire(&bell->mutex);
		info.last_wake = bell->worker.last_wake;
		SpinLockRelease(&bell->mutex);
		held = OidIsValid(database) && sierra_exclusive_is_held(database);
		heard = pg_atomic_read_u64(&bell->heard);
		LWLockRelease(sierra_doorbell->lock);
		if (OidIsValid(database))
			put_worker(result, database, &info, held,
					   pg_atomic_read_u64(&bell->generation) - heard);
	}
	return (Datum) 0;
}
