/*
 * runner_job.c
 *		Runs a job: timers, sagas or a projection of a store.
 *
 * A runner has the rights of a superuser and runs code of users.  So everything
 * in a store is done as the owner of its table of events, in a
 * security-restricted operation, as in autovacuum: code of users cannot become
 * another role, and cannot leave anything behind that runs later.  After each
 * job, settings are reset and advisory locks of the session are released.
 */
#include "postgres.h"

#include "base/guc.h"
#include "store/complete.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "store/time_limit.h"
#include "worker/background.h"
#include "worker/job_list.h"
#include "worker/runner_job.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The pause of a job that another session is running, in milliseconds. */
#define LOCKED_PAUSE_MS 50

/*
 * The sizes of jobs are meant for about 250 ms.  A projection that handled its
 * size within QUICK_MS gets GROWTH times as many events the next time, up to
 * the maximum.
 */
#define QUICK_MS 25
#define GROWTH 4
#define SIZE_MAX_EVENTS 10000

/* The value of lock_timeout for timers: one locked partition must not stop all. */
#define TIMERS_LOCK_TIMEOUT "2s"

/*
 * Does the store still belong to the role to which it belonged when the job was listed?
 * From now on, until the transaction ends.
 */
static bool
lock_owner(const SierraJob *job)
{
	Oid events = get_relname_relid("events", job->key.schema);

	if (OidIsValid(events))
		LockRelationOid(events, AccessShareLock);
	return sierra_run_as_store_owner(job->key.schema) == job->owner.store_owner;
}

/*
 * Runs a job in a transaction, as the store's owner.  Returns how much it handled; -1 if
 * another session runs it, or if another process has to: code of a role that owns it by
 * now must not run in this one.  run_job() compares that with the row that it locks.
 */
static int64
call(const SierraJob *job)
{
	Oid types[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT8OID, OIDOID};
	Datum values[lengthof(types)];
	char *store = get_namespace_name(job->key.schema);
	char *query = psprintf("SELECT %s($1, $2, $3, $4, $5, $6)",
						   quote_qualified_identifier(SIERRA_INTERNAL, "run_job"));
	Datum result;
	bool isnull;
	int64 handled;

	if (store == NULL || !lock_owner(job))
		return -1;
	/* Its failure would count as a failed attempt. */
	sierra_store_check_complete(sierra_store_open_named(store, ACL_NO_RIGHTS));
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(store));
	values[1] = CStringGetTextDatum(sierra_job_kind_name(job->key.kind));
	values[2] = CStringGetTextDatum(job->key.name);
	values[3] = Int32GetDatum(job->key.version);
	values[4] = Int64GetDatum(job->size);
	values[5] = ObjectIdGetDatum(job->owner.owner);
	SPI_connect();
	if (SPI_execute_with_args(query, lengthof(types), types, values, NULL, false, 0) !=
			SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not run a job");
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	handled = isnull ? -1 : DatumGetInt64(result);
	SPI_finish();
	return handled;
}

/* Records the result of a run that did not fail. */
static void
note_run(SierraJob *job, TimestampTz began_wall, SierraTime began, int64 handled)
{
	job->note.failures = 0;
	job->note.error = 0;
	job->note.exhausted = false;
	if (handled < 0 || (handled == 0 && job->key.kind != SIERRA_JOB_PROJECTION))
		job->note.paused_until = sierra_after_ms(sierra_now(), LOCKED_PAUSE_MS);
	else if (handled == 0)
	{
		job->note.exhausted = true;
		job->note.exhausted_state = job->state;
		job->note.exhausted_at = began_wall;
	}
	else if (handled < job->size)
		job->unknown = true;
	else if (job->key.kind == SIERRA_JOB_PROJECTION &&
			 !sierra_is_past(began, sierra_now(), QUICK_MS))
		job->size = Min(job->size * GROWTH, SIZE_MAX_EVENTS);
}

void
sierra_job_run(SierraJob *job, SierraJobResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz began_wall = GetCurrentTimestamp();
	SierraTime began = sierra_now();
	const char *activity = sierra_job_describe(job);
	volatile int64 handled = -1;

	MemoryContextSwitchTo(context);
	result->failed = false;
	PG_TRY();
	{
		SierraRunAs run_as;

		sierra_background_begin(activity);
		sierra_time_limit_begin_job(sierra_guc_job_timeout);
		sierra_run_as_begin_as(&run_as, job->owner.store_owner);
		if (job->key.kind == SIERRA_JOB_TIMERS)
			sierra_job_set_lock_timeout(TIMERS_LOCK_TIMEOUT);
		handled = call(job);
		sierra_run_as_end(&run_as);
		sierra_time_limit_end_job();
		sierra_background_end();
		note_run(job, began_wall, began, handled);
	}
	PG_CATCH();
	{
		result->failed = true;
		sierra_job_failed(job, context, NULL, result->error);
		sierra_time_limit_end_job();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	LockReleaseAll(USER_LOCKMETHOD, true);
	job->note.last_run = began;
	sierra_job_keep_note(job);
	result->handled = Max(handled, 0);
	if (result->failed)
		result->handled = 0;
}
