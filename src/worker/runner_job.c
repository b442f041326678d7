/*
 * runner_job.c
 *		The jobs of a database: timers, sagas and projections of its stores.
 *
 * The SQL function list_jobs() lists the jobs of a store, and run_job() runs
 * one.  This file remembers jobs from one look to the next.  A projection that
 * had nothing to do is not run again before the store has new events, an append
 * that held events back has ended, the projection's row has changed, or
 * something is to be tried again.  The job whose last run is longest ago comes
 * first, so no store and no projection keeps others from running.
 *
 * A runner has the rights of a superuser and runs code of users.  So everything
 * in a store is done as the owner of its table of events, in a
 * security-restricted operation, as in autovacuum: code of users cannot become
 * another role, and cannot leave anything behind that runs later.  After each
 * job, settings are reset and advisory locks of the session are released.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "worker/background.h"
#include "worker/runner_job.h"
#include "worker/store_watch.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* The pause of a job that another session is running, in milliseconds. */
#define LOCKED_PAUSE_MS 50

/*
 * The pause of a job that failed, in milliseconds.  It doubles from the first
 * value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

/*
 * The sizes of jobs are meant for about 250 ms.  A projection that handled its
 * size within QUICK_MS gets GROWTH times as many events the next time, up to
 * the maximum.
 */
#define QUICK_MS 25
#define GROWTH 4
#define SIZE_MAX_EVENTS 10000

/*
 * The values of lock_timeout: a session that locks the tables of a store must
 * not delay other stores.
 */
#define LOOK_LOCK_TIMEOUT "100ms"
#define TIMERS_LOCK_TIMEOUT "2s"

static HTAB *jobs = NULL;
static uint64 looks = 0;

static void
create_table(void)
{
	HASHCTL ctl = {
		.keysize = sizeof(SierraJobKey), .entrysize = sizeof(SierraJob), .hcxt = TopMemoryContext};

	jobs = hash_create("sierra_es jobs", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static SierraJob *
find_job(Oid schema, SierraJobKind kind, const char *projection, int32 version)
{
	SierraJobKey key = {0};
	SierraJob *job;
	bool found;

	key.schema = schema;
	key.kind = kind;
	key.version = version;
	strlcpy(key.projection, projection, SIERRA_JOB_NAME_MAX);
	job = hash_search(jobs, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset(job, 0, sizeof(SierraJob));
		job->key = key;
	}
	job->listed = looks;
	return job;
}

static void
act_as(SierraRunAs *run_as, Oid owner, const char *lock_timeout)
{
	sierra_run_as_begin_as(run_as, owner);
	if (lock_timeout != NULL)
		(void) set_config_option("lock_timeout", lock_timeout, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Handles an error: logs it unless the last run of the job failed with the same
 * message, ends the transaction, and pauses the job, longer after each failure.
 */
static void
handle_error(SierraJob *job, SierraJobResult *result, MemoryContext context)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (strncmp(error->message, job->last_error, SIERRA_JOB_ERROR_MAX - 1) != 0)
		EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	strlcpy(job->last_error, error->message, SIERRA_JOB_ERROR_MAX);
	strlcpy(result->error, error->message, SIERRA_JOB_ERROR_MAX);
	result->failed = true;
	job->paused_until = TimestampTzPlusMilliseconds(
		GetCurrentTimestamp(), sierra_backoff(job->failures + 1, RETRY_MS, RETRY_MAX_MS));
	job->failures++;
	FreeErrorData(error);
	RESUME_INTERRUPTS();
}

/*
 * Does the extension have the functions that list and run jobs?  Not if its
 * version is another one than that of the library.
 */
static bool
has_functions(void)
{
	static const Oid arguments[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT8OID};

	return OidIsValid(sierra_extension_find_function("list_jobs", 1, arguments)) &&
		   OidIsValid(sierra_extension_find_function("run_job", 5, arguments));
}

static int64
get_int64(int row, int column, int64 otherwise)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

static SierraJobKind
parse_kind(const char *kind)
{
	if (strcmp(kind, "timers") == 0)
		return SIERRA_JOB_TIMERS;
	return strcmp(kind, "sagas") == 0 ? SIERRA_JOB_SAGAS : SIERRA_JOB_PROJECTION;
}

/* Updates a job from a row of list_jobs(). */
static void
take_job(Oid schema, int row, const SierraJobState *state)
{
	TupleDesc desc = SPI_tuptable->tupdesc;
	HeapTuple tuple = SPI_tuptable->vals[row];
	char *projection = SPI_getvalue(tuple, desc, 2);
	char *version = SPI_getvalue(tuple, desc, 3);
	SierraJob *job = find_job(schema, parse_kind(SPI_getvalue(tuple, desc, 1)),
							  projection == NULL ? "" : projection,
							  version == NULL ? 0 : pg_strtoint32(version));

	job->unknown = false;
	job->due_at = get_int64(row, 4, DT_NOBEGIN);
	job->again_at = get_int64(row, 5, DT_NOEND);
	job->size = get_int64(row, 6, 1);
	job->state = *state;
	job->state.row = get_int64(row, 7, 0);
}

/* Updates the jobs of a store.  In a transaction, as the store's owner. */
static void
list_jobs(Oid schema, const SierraJobState *state)
{
	Oid types[] = {NAMEOID};
	Datum values[1];
	char *store = get_namespace_name(schema);
	char *query = psprintf(
		"SELECT kind, projection, version, due_at, again_at, size, row_version FROM %s($1)",
		quote_qualified_identifier(SIERRA_INTERNAL, "list_jobs"));

	/* The store can be dropped at any time. */
	if (store == NULL)
		return;
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(store));
	SPI_connect();
	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list the jobs of a store");
	for (uint64 i = 0; i < SPI_processed; i++)
		take_job(schema, (int) i, state);
	SPI_finish();
}

/* Finds the jobs of a store; true if an append in flight holds events back. */
static bool
look_at_store(Oid schema)
{
	MemoryContext context = CurrentMemoryContext;
	SierraJob *looking = find_job(schema, SIERRA_JOB_LOOK, "", 0);
	SierraJobResult result;
	volatile bool held_back = false;

	if (looking->paused_until > GetCurrentTimestamp())
		return false;
	PG_TRY();
	{
		SierraJobState state = {.events = -1};
		int64 newest = 0;
		SierraRunAs run_as;
		Oid owner;

		sierra_background_begin("looking for timers, sagas and projections that are due");
		owner = sierra_run_as_store_owner(schema);
		if (OidIsValid(owner))
		{
			if (sierra_watch_look(schema, &state.events, &state.readable, &newest))
				held_back = state.readable < newest;
			act_as(&run_as, owner, LOOK_LOCK_TIMEOUT);
			list_jobs(schema, &state);
			sierra_run_as_end(&run_as);
		}
		sierra_background_end();
		looking->failures = 0;
		looking->last_error[0] = '\0';
	}
	PG_CATCH();
	{
		handle_error(looking, &result, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return held_back;
}

/* Forgets jobs that the last look did not find; returns how many remain. */
static int
forget_others(void)
{
	HASH_SEQ_STATUS scan;
	SierraJob *job;
	int count = 0;

	hash_seq_init(&scan, jobs);
	while ((job = hash_seq_search(&scan)) != NULL)
	{
		if (job->listed != looks)
			hash_search(jobs, &job->key, HASH_REMOVE, NULL);
		else if (job->key.kind != SIERRA_JOB_LOOK)
			count++;
	}
	return count;
}

void
sierra_jobs_look(SierraJobLook *look)
{
	MemoryContext context = CurrentMemoryContext;
	List *schemas = NIL;
	ListCell *cell;

	if (jobs == NULL)
		create_table();
	looks++;
	sierra_background_begin("looking for event stores");
	look->installed = sierra_extension_exists();
	look->held_back = false;
	if (look->installed && has_functions())
	{
		List *found = sierra_watch_list();

		MemoryContextSwitchTo(context);
		schemas = list_copy(found);
	}
	sierra_background_end();
	MemoryContextSwitchTo(context);
	foreach (cell, schemas)
	{
		CHECK_FOR_INTERRUPTS();
		look->held_back |= look_at_store(lfirst_oid(cell));
	}
	list_free(schemas);
	look->jobs = forget_others();
}

static bool
is_same_state(const SierraJobState *a, const SierraJobState *b)
{
	return a->events >= 0 && a->events == b->events && a->readable == b->readable &&
		   a->row == b->row;
}

static TimestampTz
due_at(const SierraJob *job)
{
	TimestampTz at = job->due_at;

	if (job->key.kind == SIERRA_JOB_LOOK || job->unknown)
		return DT_NOEND;
	if (job->exhausted && is_same_state(&job->state, &job->exhausted_state))
		at = Max(at, job->again_at > job->exhausted_at ? job->again_at : DT_NOEND);
	return Max(at, job->paused_until);
}

SierraJob *
sierra_jobs_next(TimestampTz now, int *due, TimestampTz *wake_at)
{
	HASH_SEQ_STATUS scan;
	SierraJob *job;
	SierraJob *next = NULL;

	*due = 0;
	*wake_at = DT_NOEND;
	hash_seq_init(&scan, jobs);
	while ((job = hash_seq_search(&scan)) != NULL)
	{
		TimestampTz at = due_at(job);

		if (at > now)
		{
			*wake_at = Min(*wake_at, at);
			continue;
		}
		(*due)++;
		if (next == NULL || job->last_run < next->last_run)
			next = job;
	}
	return next;
}

const char *
sierra_job_describe(const SierraJob *job)
{
	static char text[SIERRA_JOB_NAME_MAX + NAMEDATALEN + 32];
	char *store;

	StartTransactionCommand();
	store = get_namespace_name(job->key.schema);
	if (store == NULL)
		store = "";
	switch ((SierraJobKind) job->key.kind)
	{
		case SIERRA_JOB_TIMERS:
			snprintf(text, sizeof(text), "timers of store %s", store);
			break;
		case SIERRA_JOB_SAGAS:
			snprintf(text, sizeof(text), "sagas of store %s", store);
			break;
		default:
			snprintf(text, sizeof(text), "projection \"%s\" of store %s", job->key.projection,
					 store);
			break;
	}
	CommitTransactionCommand();
	return text;
}

static const char *
name_of(SierraJobKind kind)
{
	if (kind == SIERRA_JOB_TIMERS)
		return "timers";
	return kind == SIERRA_JOB_SAGAS ? "sagas" : "projection";
}

/*
 * Runs a job in a transaction, as the store's owner.  Returns how much it
 * handled; -1 if another session runs it.
 */
static int64
call(const SierraJob *job)
{
	Oid types[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT8OID};
	Datum values[5];
	char *store = get_namespace_name(job->key.schema);
	char *query = psprintf("SELECT %s($1, $2, $3, $4, $5)",
						   quote_qualified_identifier(SIERRA_INTERNAL, "run_job"));
	int64 handled;

	if (store == NULL)
		return -1;
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(store));
	values[1] = CStringGetTextDatum(name_of(job->key.kind));
	values[2] = CStringGetTextDatum(job->key.projection);
	values[3] = Int32GetDatum(job->key.version);
	values[4] = Int64GetDatum(job->size);
	SPI_connect();
	if (SPI_execute_with_args(query, 5, types, values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not run a job");
	handled = get_int64(0, 1, -1);
	SPI_finish();
	return handled;
}

/* Records the result of a run that did not fail. */
static void
note_run(SierraJob *job, TimestampTz began, int64 handled)
{
	job->failures = 0;
	job->last_error[0] = '\0';
	job->exhausted = false;
	if (handled < 0 || (handled == 0 && job->key.kind != SIERRA_JOB_PROJECTION))
		job->paused_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCKED_PAUSE_MS);
	else if (handled == 0)
	{
		job->exhausted = true;
		job->exhausted_state = job->state;
		job->exhausted_at = began;
	}
	else if (handled < job->size)
		job->unknown = true;
	else if (job->key.kind == SIERRA_JOB_PROJECTION &&
			 !TimestampDifferenceExceeds(began, GetCurrentTimestamp(), QUICK_MS))
		job->size = Min(job->size * GROWTH, SIZE_MAX_EVENTS);
}

void
sierra_job_run(SierraJob *job, SierraJobResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz began = GetCurrentTimestamp();
	const char *activity = sierra_job_describe(job);
	volatile int64 handled = -1;

	MemoryContextSwitchTo(context);
	result->failed = false;
	PG_TRY();
	{
		SierraRunAs run_as;
		Oid owner;

		sierra_background_begin(activity);
		owner = sierra_run_as_store_owner(job->key.schema);
		if (OidIsValid(owner))
		{
			act_as(&run_as, owner, job->key.kind == SIERRA_JOB_TIMERS ? TIMERS_LOCK_TIMEOUT : NULL);
			handled = call(job);
			sierra_run_as_end(&run_as);
		}
		sierra_background_end();
		note_run(job, began, handled);
	}
	PG_CATCH();
	{
		handle_error(job, result, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	LockReleaseAll(USER_LOCKMETHOD, true);
	job->last_run = began;
	result->handled = Max(handled, 0);
	if (result->failed)
		result->handled = 0;
}
