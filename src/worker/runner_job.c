/*
 * runner_job.c
 *		The jobs of a database: timers, sagas and projections of its stores.
 *
 * job_list.c lists the jobs of a store, and the SQL function run_job() runs one.
 * This file remembers jobs from one look to the next.  A projection that had
 * nothing to do is not run again before the store has new events, an append that
 * held events back has ended, the projection's row has changed, or something is
 * to be tried again.  Of the jobs of an owner, the one whose last run is longest
 * ago comes first, so no store and no projection keeps others from running.
 *
 * A runner has the rights of a superuser and runs code of users.  So everything
 * in a store is done as the owner of its table of events, in a
 * security-restricted operation, as in autovacuum: code of users cannot become
 * another role, and cannot leave anything behind that runs later.  After each
 * job, settings are reset and advisory locks of the session are released.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "base/guc.h"
#include "store/complete.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "store/time_limit.h"
#include "worker/background.h"
#include "worker/job_note.h"
#include "worker/job_switch.h"
#include "worker/look_lock.h"
#include "worker/runner_job.h"
#include "worker/store_watch.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
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

/* The pause of the jobs of an owner who may not have the last place, in milliseconds. */
#define LAST_PLACE_PAUSE_MS 200

/* That of the looks at a store that is locked; it doubles from the first value up to this one. */
#define LOCKED_PAUSE_MAX_MS 1000

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

/* A look at a store may take this long, in milliseconds. */
#define LOOK_TIME_LIMIT_MS 1000

/* If it takes longer than the first, the pause after it is this many times its duration. */
#define SLOW_LOOK_MS 50
#define SLOW_LOOK_PAUSE_FACTOR 9

/* Runners run at most this number of projections in a store. */
#define PROJECTIONS_MAX 1000

static HTAB *jobs = NULL;
static uint64 looks = 0;

/* Whose jobs wait, and until when. */
static Oid waiting_owner = InvalidOid;
static SierraTime waits_until = 0;

static void
create_table(void)
{
	HASHCTL ctl = {
		.keysize = sizeof(SierraJobKey), .entrysize = sizeof(SierraJob), .hcxt = TopMemoryContext};

	jobs = hash_create("sierra_es jobs", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static SierraNoteKey
note_key(const SierraJobKey *key)
{
	return sierra_job_note_key(key->schema, key->kind, key, sizeof(*key));
}

static SierraJob *
find_job(Oid schema, SierraJobKind kind, const char *name, int32 version)
{
	SierraJobKey key = {0};
	SierraJob *job;
	bool found;

	key.schema = schema;
	key.kind = kind;
	key.version = version;
	strlcpy(key.name, name, SIERRA_JOB_NAME_MAX);
	job = hash_search(jobs, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset(job, 0, sizeof(SierraJob));
		job->key = key;
		sierra_job_note_read(note_key(&job->key), &job->note);
	}
	job->listed = looks;
	return job;
}

static void
keep_note(const SierraJob *job)
{
	sierra_job_note_write(note_key(&job->key), &job->note);
}

static void
set_lock_timeout(const char *value)
{
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

static void
act_as(SierraRunAs *run_as, Oid owner, const char *lock_timeout)
{
	sierra_run_as_begin_as(run_as, owner);
	if (lock_timeout != NULL)
		set_lock_timeout(lock_timeout);
}

/*
 * Handles an error: logs it unless the last run of the job failed with the same
 * message, ends the transaction, and pauses the job, longer after each failure.
 */
static void
handle_error(SierraJob *job, SierraJobResult *result, MemoryContext context)
{
	ErrorData *error;
	uint32 hash;
	bool too_long;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	too_long = sierra_time_limit_take(error) && job->key.kind == SIERRA_JOB_LOOK;
	if (too_long)
		error->message = psprintf("the look for jobs in schema %u took longer than %d ms",
								  job->key.schema, LOOK_TIME_LIMIT_MS);
	hash = Max(hash_bytes((unsigned char *) error->message, strlen(error->message)), 1);
	if (hash != job->note.error && too_long)
		ereport(LOG, errmsg_internal("%s", error->message));
	else if (hash != job->note.error)
		EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	job->note.error = hash;
	strlcpy(result->error, error->message, SIERRA_JOB_ERROR_MAX);
	result->failed = true;
	job->note.paused_until = sierra_after_ms(
		sierra_now(), sierra_backoff(job->note.failures + 1, RETRY_MS, RETRY_MAX_MS));
	job->note.failures++;
	keep_note(job);
	FreeErrorData(error);
	RESUME_INTERRUPTS();
}

/*
 * Does the extension have the function that runs jobs?  Not if its version is
 * another one than that of the library.
 */
static bool
has_functions(void)
{
	static const Oid arguments[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT8OID};

	return OidIsValid(sierra_extension_find_function("run_job", 5, arguments));
}

/* Updates a job from what a look found. */
static void
take_job(Oid schema, Oid store_owner, const SierraListedJob *listed, const SierraJobState *state)
{
	SierraJob *job = find_job(schema, listed->kind, listed->name, listed->version);

	job->unknown = false;
	job->owner.store_owner = store_owner;
	job->owner.owner = listed->owner;
	job->trusted = superuser_arg(store_owner) && superuser_arg(listed->owner);
	job->due_at = listed->due_at;
	job->again_at = listed->again_at;
	job->size = listed->size;
	job->state = *state;
	job->state.row = listed->row;
}

/*
 * Updates the jobs of a store; false if it is locked.  In a transaction, as the store's
 * owner.
 */
static bool
list_jobs(Oid schema, Oid owner, const SierraJobState *state)
{
	char *name = get_namespace_name(schema);
	SierraStore *store;
	ListCell *cell;

	if (!sierra_look_lock_jobs(schema))
		return false;
	/* The store can be dropped at any time. */
	if (name == NULL || !sierra_jobs_run(name))
		return true;
	store = sierra_store_open_named(name, ACL_NO_RIGHTS);
	if (store->subscribed)
		return true; /* the publisher runs them */
	sierra_store_check_complete(store);
	foreach (cell, sierra_job_list(store, PROJECTIONS_MAX))
		take_job(schema, owner, lfirst(cell), state);
	return true;
}

/*
 * Looks at a store, in a transaction; false if it is locked.  "held_back" says whether an
 * append in flight holds events back.
 */
static bool
look_as_owner(Oid schema, volatile bool *held_back)
{
	SierraJobState state = {.events = -1};
	Oid owner = sierra_run_as_store_owner(schema);
	int64 newest = 0;
	SierraRunAs run_as;
	int settings;
	bool free = true;

	if (!OidIsValid(owner))
		return true;
	settings = NewGUCNestLevel();
	set_lock_timeout(LOOK_LOCK_TIMEOUT);
	if (sierra_watch_look(schema, &state.events, &state.readable, &newest))
		*held_back = state.readable < newest;
	sierra_run_as_begin_as(&run_as, owner);
	free = list_jobs(schema, owner, &state);
	sierra_run_as_end(&run_as);
	AtEOXact_GUC(false, settings);
	return free;
}

/* Notes that a look did not fail.  While a store is locked, the looks become less frequent. */
static void
note_look(SierraJob *looking, bool free)
{
	if (free && looking->note.failures == 0)
		return;
	looking->note.error = 0;
	if (free)
		looking->note.failures = 0;
	else
		looking->note.paused_until =
			sierra_after_ms(sierra_now(), sierra_backoff(++looking->note.failures, LOCKED_PAUSE_MS,
														 LOCKED_PAUSE_MAX_MS));
	keep_note(looking);
}

/*
 * A store that is slow to look at must not take the time of others.  A runner that serves
 * its owner looks at it in any case.
 */
static void
note_slow_look(SierraJob *looking, SierraTime began)
{
	SierraTime ended = sierra_now();

	if (!sierra_is_past(began, ended, SLOW_LOOK_MS))
		return;
	looking->note.look_due = ended + (ended - began) * SLOW_LOOK_PAUSE_FACTOR;
	keep_note(looking);
}

/* When to look at this store. */
static SierraTime
time_of_look(const SierraJob *looking, const SierraJobLook *look, Oid served)
{
	if (!look->several_owners || looking->owner.store_owner == served)
		return looking->note.paused_until;
	return Max(looking->note.paused_until, looking->note.look_due);
}

/* Finds the jobs of a store; true if an append in flight holds events back. */
static bool
look_at_store(Oid schema, SierraJobLook *look, Oid served)
{
	MemoryContext context = CurrentMemoryContext;
	SierraJob *looking = find_job(schema, SIERRA_JOB_LOOK, "", 0);
	SierraTime began = sierra_now();
	SierraTime due = time_of_look(looking, look, served);
	SierraJobResult result;
	volatile bool held_back = false;

	looking->skipped = due > began && looking->note.paused_until <= began;
	if (due > began)
	{
		look->again_at = Min(look->again_at, due);
		return false;
	}
	PG_TRY();
	{
		bool free;

		sierra_background_begin("looking for timers, sagas and projections that are due");
		sierra_time_limit_begin_job(LOOK_TIME_LIMIT_MS);
		free = look_as_owner(schema, &held_back);
		sierra_time_limit_end_job();
		sierra_background_end();
		note_look(looking, free);
	}
	PG_CATCH();
	{
		handle_error(looking, &result, context);
		sierra_time_limit_end_job();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	note_slow_look(looking, began);
	return held_back;
}

/* Did the last look skip the store of this job? */
static bool
is_skipped(const SierraJob *job)
{
	SierraJobKey key = {.schema = job->key.schema, .kind = SIERRA_JOB_LOOK};
	SierraJob *looking = hash_search(jobs, &key, HASH_FIND, NULL);

	return looking != NULL && looking->listed == looks && looking->skipped;
}

/*
 * Forgets jobs that the last look did not find in the stores at which it looked; returns
 * how many remain.
 */
static int
forget_others(void)
{
	HASH_SEQ_STATUS scan;
	SierraJob *job;
	int count = 0;

	hash_seq_init(&scan, jobs);
	while ((job = hash_seq_search(&scan)) != NULL)
	{
		if (job->listed != looks && !is_skipped(job))
			hash_search(jobs, &job->key, HASH_REMOVE, NULL);
		else if (job->key.kind != SIERRA_JOB_LOOK)
			count++;
	}
	return count;
}

/* Notes who owns the stores; true if these are several.  Only catalogs are read. */
static bool
find_owners(const List *schemas)
{
	Oid first = InvalidOid;
	bool several = false;
	ListCell *cell;

	foreach (cell, schemas)
	{
		Oid owner = sierra_relation_owner(get_relname_relid("events", lfirst_oid(cell)));

		if (!OidIsValid(owner))
			continue;
		find_job(lfirst_oid(cell), SIERRA_JOB_LOOK, "", 0)->owner.store_owner = owner;
		several |= OidIsValid(first) && owner != first;
		first = owner;
	}
	return several;
}

void
sierra_jobs_look(SierraJobLook *look, Oid served)
{
	MemoryContext context = CurrentMemoryContext;
	List *schemas = NIL;
	ListCell *cell;

	if (jobs == NULL)
		create_table();
	looks++;
	sierra_background_begin("looking for event stores");
	look->installed = sierra_extension_exists();
	look->held_back = look->several_owners = false;
	look->again_at = SIERRA_NEVER;
	if (look->installed && has_functions())
	{
		List *found = sierra_watch_list();

		sierra_jobs_read_switch();

		MemoryContextSwitchTo(context);
		schemas = list_copy(found);
		look->several_owners = find_owners(schemas);
	}
	sierra_background_end();
	MemoryContextSwitchTo(context);
	foreach (cell, schemas)
	{
		CHECK_FOR_INTERRUPTS();
		look->held_back |= look_at_store(lfirst_oid(cell), look, served);
	}
	look->stores = list_length(schemas);
	list_free(schemas);
	look->jobs = forget_others();
}

static bool
is_same_state(const SierraJobState *a, const SierraJobState *b)
{
	return a->events >= 0 && a->events == b->events && a->readable == b->readable &&
		   a->row == b->row;
}

/*
 * When a job is due, by the clock of durations.  Tables have times of the wall clock.  If
 * that was set back after the last run, what the run has seen says nothing about retries.
 */
static SierraTime
due_at(const SierraJob *job, SierraTime now)
{
	TimestampTz at = job->due_at;

	if (job->key.kind == SIERRA_JOB_LOOK || job->unknown)
		return SIERRA_NEVER;
	if (job->note.exhausted && is_same_state(&job->state, &job->note.exhausted_state))
	{
		bool retry_is_later = job->again_at > job->note.exhausted_at ||
							  GetCurrentTimestamp() < job->note.exhausted_at;

		at = Max(at, retry_is_later ? job->again_at : DT_NOEND);
	}
	if (job->owner.store_owner == waiting_owner && !job->trusted && now < waits_until)
		return Max(sierra_time_of_wall(now, at), Max(waits_until, job->note.paused_until));
	return Max(sierra_time_of_wall(now, at), job->note.paused_until);
}

void
sierra_jobs_keep_waiting(Oid store_owner)
{
	waiting_owner = store_owner;
	waits_until = sierra_after_ms(sierra_now(), LAST_PLACE_PAUSE_MS);
}

static bool
is_of(const SierraJob *job, const SierraJobOwner *owner)
{
	return job->owner.store_owner == owner->store_owner && job->owner.owner == owner->owner;
}

SierraJob *
sierra_jobs_next(const SierraJobOwner *owner, SierraTime now, int *due, SierraTime *wake_at)
{
	HASH_SEQ_STATUS scan;
	SierraJob *job;
	SierraJob *next = NULL;

	*due = 0;
	*wake_at = SIERRA_NEVER;
	hash_seq_init(&scan, jobs);
	while ((job = hash_seq_search(&scan)) != NULL)
	{
		SierraTime at = due_at(job, now);

		if (at > now)
		{
			*wake_at = Min(*wake_at, at);
			continue;
		}
		(*due)++;
		if (is_of(job, owner) && (next == NULL || job->note.last_run < next->note.last_run))
			next = job;
	}
	return next;
}

static bool
is_before(const SierraJobOwner *a, const SierraJobOwner *b)
{
	if (a->store_owner != b->store_owner)
		return a->store_owner < b->store_owner;
	return a->owner < b->owner;
}

/* The order of owners is a ring: is a nearer than b, seen from there? */
static bool
is_nearer(const SierraJobOwner *a, const SierraJobOwner *b, const SierraJobOwner *from)
{
	bool a_is_ahead = is_before(from, a);

	if (a_is_ahead != is_before(from, b))
		return a_is_ahead;
	return is_before(a, b);
}

static bool
is_of_any(const SierraJob *job, const SierraJobOwner *owners, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (is_of(job, &owners[i]))
			return true;
	}
	return false;
}

bool
sierra_jobs_next_owner(const SierraJobOwner *after, const SierraJobOwner *others, int count,
					   SierraTime now, SierraJobOwner *next)
{
	HASH_SEQ_STATUS scan;
	SierraJob *job;
	bool found = false;

	hash_seq_init(&scan, jobs);
	while ((job = hash_seq_search(&scan)) != NULL)
	{
		if (due_at(job, now) > now || is_of(job, after) || is_of_any(job, others, count))
			continue;
		if (!found || is_nearer(&job->owner, next, after))
			*next = job->owner;
		found = true;
	}
	return found;
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
			snprintf(text, sizeof(text), "projection \"%s\" of store %s", job->key.name, store);
			break;
	}
	CommitTransactionCommand();
	return text;
}

/*
 * Does the code of a job still run as the role as which it was listed?  The store, or the
 * projection, can have got another owner since then.
 */
static bool
has_same_owner(const SierraJob *job, const char *store)
{
	Oid owner = job->owner.owner;

	if (job->key.kind == SIERRA_JOB_PROJECTION)
		owner = sierra_job_projection_owner(sierra_store_open_named(store, ACL_NO_RIGHTS),
											job->key.name, job->key.version);
	return owner == job->owner.owner;
}

/*
 * Runs a job in a transaction, as the store's owner.  Returns how much it
 * handled; -1 if another session runs it, or if it is to be run by another process.
 */
static int64
call(const SierraJob *job)
{
	Oid types[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT8OID};
	Datum values[5];
	char *store = get_namespace_name(job->key.schema);
	char *query = psprintf("SELECT %s($1, $2, $3, $4, $5)",
						   quote_qualified_identifier(SIERRA_INTERNAL, "run_job"));
	Datum result;
	bool isnull;
	int64 handled;

	if (store == NULL || !has_same_owner(job, store))
		return -1;
	/* Its failure would count as a failed attempt. */
	sierra_store_check_complete(sierra_store_open_named(store, ACL_NO_RIGHTS));
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(store));
	values[1] = CStringGetTextDatum(sierra_job_kind_name(job->key.kind));
	values[2] = CStringGetTextDatum(job->key.name);
	values[3] = Int32GetDatum(job->key.version);
	values[4] = Int64GetDatum(job->size);
	SPI_connect();
	if (SPI_execute_with_args(query, 5, types, values, NULL, false, 0) != SPI_OK_SELECT ||
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
		Oid owner;

		sierra_background_begin(activity);
		sierra_time_limit_begin_job(sierra_guc_job_timeout);
		owner = sierra_run_as_store_owner(job->key.schema);
		if (OidIsValid(owner) && owner == job->owner.store_owner)
		{
			act_as(&run_as, owner, job->key.kind == SIERRA_JOB_TIMERS ? TIMERS_LOCK_TIMEOUT : NULL);
			handled = call(job);
			sierra_run_as_end(&run_as);
		}
		sierra_time_limit_end_job();
		sierra_background_end();
		note_run(job, began_wall, began, handled);
	}
	PG_CATCH();
	{
		handle_error(job, result, context);
		sierra_time_limit_end_job();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	LockReleaseAll(USER_LOCKMETHOD, true);
	job->note.last_run = began;
	keep_note(job);
	result->handled = Max(handled, 0);
	if (result->failed)
		result->handled = 0;
}
