/*
 * job_table.c
 *		The jobs that a runner knows, and which of them is next.
 *
 * A look (job_look.c) enters jobs, and a run (runner_job.c) changes when they are due
 * again.  A projection that had nothing to do is not due before the store has new
 * events, an append that held events back has ended, the projection's row has changed,
 * or something is to be tried again.  Of the jobs of an owner, the one whose last run is
 * longest ago comes first, so no store and no projection keeps others from running.
 */
#include "postgres.h"

#include "base/backoff.h"
#include "store/time_limit.h"
#include "worker/job_note.h"
#include "worker/job_table.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* The pause of the jobs of an owner who may not have the last place, in milliseconds. */
#define LAST_PLACE_PAUSE_MS 200

/*
 * The pause of a job that failed, in milliseconds.  It doubles from the first
 * value up to the second.
 */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000

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

void
sierra_jobs_begin_look(void)
{
	if (jobs == NULL)
		create_table();
	looks++;
}

static SierraNoteKey
note_key(const SierraJobKey *key)
{
	return sierra_job_note_key(key->schema, key->kind, key, sizeof(*key));
}

SierraJob *
sierra_job_find(Oid schema, SierraJobKind kind, const char *name, int32 version)
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

void
sierra_job_keep_note(const SierraJob *job)
{
	sierra_job_note_write(note_key(&job->key), &job->note);
}

void
sierra_job_set_lock_timeout(const char *value)
{
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

void
sierra_job_failed(SierraJob *job, MemoryContext context, const char *too_long, char *message)
{
	ErrorData *error;
	uint32 hash;
	bool timed_out;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	timed_out = sierra_time_limit_take(error) && too_long != NULL;
	strlcpy(message, timed_out ? too_long : error->message, SIERRA_JOB_ERROR_MAX);
	hash = Max(hash_bytes((unsigned char *) message, strlen(message)), 1);
	if (hash != job->note.error && timed_out)
		ereport(LOG, errmsg_internal("%s", message));
	else if (hash != job->note.error)
		EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	job->note.error = hash;
	job->note.paused_until = sierra_after_ms(
		sierra_now(), sierra_backoff(job->note.failures + 1, RETRY_MS, RETRY_MAX_MS));
	job->note.failures++;
	sierra_job_keep_note(job);
	FreeErrorData(error);
	RESUME_INTERRUPTS();
}

/* Did the last look skip the store of this job? */
static bool
is_skipped(const SierraJob *job)
{
	SierraJobKey key = {.schema = job->key.schema, .kind = SIERRA_JOB_LOOK};
	SierraJob *looking = hash_search(jobs, &key, HASH_FIND, NULL);

	return looking != NULL && looking->listed == looks && looking->skipped;
}

int
sierra_jobs_forget_others(void)
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
