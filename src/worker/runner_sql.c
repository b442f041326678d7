/*
 * runner_sql.c
 *		What the runners of the server do, and calling them, as SQL functions.
 */
#include "postgres.h"

#include "store/store.h"
#include "wakeup/doorbell.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sierra_event_runners);
PG_FUNCTION_INFO_V1(sierra_call_runners);

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

/* A row for each runner that runs; none without preloading. */
Datum
sierra_event_runners(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < SIERRA_RUNNERS && sierra_doorbell != NULL; i++)
	{
		SierraRunner runner;

		LWLockAcquire(sierra_doorbell->lock, LW_SHARED);
		runner = sierra_doorbell->runner[i];
		LWLockRelease(sierra_doorbell->lock);
		if (runner.state == SIERRA_RUNNER_RUNNING)
			put_runner(result, &runner);
	}
	return (Datum) 0;
}

/* Runs with the rights of whoever made the work; so it asks for none. */
Datum
sierra_call_runners(PG_FUNCTION_ARGS)
{
	sierra_doorbell_note_job(sierra_store_open(ACL_NO_RIGHTS));
	PG_RETURN_VOID();
}
