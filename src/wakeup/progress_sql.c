/*
 * progress_sql.c
 *		event_progress(), and how functions in SQL report their progress.
 */
#include "postgres.h"

#include "wakeup/progress.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_begin_progress);
PG_FUNCTION_INFO_V1(sierra_progress_phase_sql);
PG_FUNCTION_INFO_V1(sierra_add_progress);
PG_FUNCTION_INFO_V1(sierra_end_progress);
PG_FUNCTION_INFO_V1(sierra_event_progress);

static char *
get_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static int64
get_total(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? -1 : PG_GETARG_INT64(arg);
}

/* begin_progress(operation, store, total, phase, keep) */
Datum
sierra_begin_progress(PG_FUNCTION_ARGS)
{
	sierra_progress_begin(get_text(fcinfo, 0), get_text(fcinfo, 1), "");
	if (PG_GETARG_BOOL(4))
		sierra_progress_keep();
	sierra_progress_phase(get_text(fcinfo, 3), get_total(fcinfo, 2));
	PG_RETURN_VOID();
}

/* progress_phase(phase, total) */
Datum
sierra_progress_phase_sql(PG_FUNCTION_ARGS)
{
	sierra_progress_phase(get_text(fcinfo, 0), get_total(fcinfo, 1));
	PG_RETURN_VOID();
}

Datum
sierra_add_progress(PG_FUNCTION_ARGS)
{
	sierra_progress_add(PG_GETARG_INT64(0));
	PG_RETURN_BOOL(true);
}

Datum
sierra_end_progress(PG_FUNCTION_ARGS)
{
	sierra_progress_end();
	PG_RETURN_VOID();
}

static void
put_progress(ReturnSetInfo *result, const SierraProgress *progress)
{
	char *database = get_database_name(progress->database);
	bool nulls[10] = {false};
	Datum values[10] = {0};

	values[0] = Int32GetDatum(progress->pid);
	nulls[1] = (database == NULL);
	if (database != NULL)
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(database));
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(progress->store));
	values[3] = CStringGetTextDatum(progress->operation);
	nulls[4] = (progress->subject[0] == '\0');
	values[4] = CStringGetTextDatum(progress->subject);
	values[5] = CStringGetTextDatum(progress->phase);
	values[6] = Int64GetDatum(progress->done);
	nulls[7] = (progress->total < 0);
	values[7] = Int64GetDatum(progress->total);
	values[8] = TimestampTzGetDatum(progress->started_at);
	values[9] = TimestampTzGetDatum(progress->phase_started_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* A row for each call that reports progress; none if the library is not preloaded. */
Datum
sierra_event_progress(PG_FUNCTION_ARGS)
{
	SierraProgress progress;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < MaxBackends && sierra_progress_places != NULL; i++)
	{
		if (sierra_progress_copy(i, &progress))
			put_progress((ReturnSetInfo *) fcinfo->resultinfo, &progress);
	}
	return (Datum) 0;
}
