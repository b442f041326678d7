/*
 * runner_job.h
 *		The jobs of a database: timers, sagas and projections of its stores.
 */
#ifndef SIERRA_RUNNER_JOB_H
#define SIERRA_RUNNER_JOB_H

#include "wakeup/shared.h"
#include "worker/job_list.h"

#include "utils/timestamp.h"

#define SIERRA_JOB_ERROR_MAX 256

/* The hash key.  It has no padding, and the rest of the name is zero. */
typedef struct SierraJobKey
{
	Oid schema;
	int32 kind;
	int32 version;
	char name[SIERRA_JOB_NAME_MAX]; /* as in SierraListedJob */
} SierraJobKey;

typedef struct SierraJob
{
	SierraJobKey key;
	uint64 listed; /* number of the last look that found it */
	bool unknown;  /* it was run, and only the next look shows whether it is due again */
	SierraJobOwner owner;
	bool skipped; /* of a look: it was left out, since it is slow */
	bool trusted; /* its owners are superusers */
	TimestampTz due_at;
	TimestampTz again_at; /* when to run it again even if the store has not changed */
	int64 size;			  /* how much a run handles at most */
	SierraJobState state; /* at the last look */

	SierraJobNote note;
} SierraJob;

/* The result of a run. */
typedef struct SierraJobResult
{
	bool failed; /* then error is the message */
	int64 handled;
	char error[SIERRA_JOB_ERROR_MAX];
} SierraJobResult;

/* The result of a look. */
typedef struct SierraJobLook
{
	bool installed; /* the database has the extension */
	int stores;
	int jobs;
	bool several_owners; /* the stores belong to more than one role */
	bool held_back;		 /* an append in flight holds back events that exist */
	SierraTime again_at; /* when a store that was left out may be looked at */
} SierraJobLook;

/*
 * Updates the list of jobs, for a runner that serves this owner of stores, or nobody.
 * Called outside of transactions.
 */
extern void sierra_jobs_look(SierraJobLook *look, Oid served);

/*
 * For a moment, no job in stores of this owner is due, except those of superusers: they
 * would take the last place.
 */
extern void sierra_jobs_keep_waiting(Oid store_owner);

/*
 * The job of an owner to run next, or NULL if none is due; how many are due, of
 * all owners; and when the next of the others will be due, SIERRA_NEVER for never.
 */
extern SierraJob *sierra_jobs_next(const SierraJobOwner *owner, SierraTime now, int *due,
								   SierraTime *wake_at);

/*
 * The owner who comes next after this one, among those who have a job that is due, in
 * turn; not this one, and none of the "count" others.  False if there is none.
 */
extern bool sierra_jobs_next_owner(const SierraJobOwner *after, const SierraJobOwner *others,
								   int count, SierraTime now, SierraJobOwner *next);

/*
 * Runs a job in a transaction of its own.  An error is logged and put into the
 * result; none is raised, except to end the process.  Each part of the job has
 * sierra_es.job_timeout.
 */
extern void sierra_job_run(SierraJob *job, SierraJobResult *result);

/* A description of a job for people, in static memory.  Called outside of transactions. */
extern const char *sierra_job_describe(const SierraJob *job);

#endif /* SIERRA_RUNNER_JOB_H */
