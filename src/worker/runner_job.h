/*
 * runner_job.h
 *		The jobs of a database: timers, sagas and projections of its stores.
 */
#ifndef SIERRA_RUNNER_JOB_H
#define SIERRA_RUNNER_JOB_H

#include "utils/timestamp.h"

#define SIERRA_JOB_ERROR_MAX 256

/* The name of a projection has at most 200 bytes. */
#define SIERRA_JOB_NAME_MAX 204

typedef enum SierraJobKind
{
	SIERRA_JOB_LOOK, /* to list the jobs of a store; not run like the others */
	SIERRA_JOB_TIMERS,
	SIERRA_JOB_SAGAS,
	SIERRA_JOB_PROJECTION
} SierraJobKind;

/* The hash key.  It has no padding, and the rest of projection is zero. */
typedef struct SierraJobKey
{
	Oid schema;
	int32 kind;
	int32 version;
	char projection[SIERRA_JOB_NAME_MAX];
} SierraJobKey;

/* What a look observed in a store. */
typedef struct SierraJobState
{
	int64 events;	/* -1: unknown */
	int64 readable; /* the newest position that can be read */
	int64 row;		/* the version of the job's own row */
} SierraJobState;

typedef struct SierraJob
{
	SierraJobKey key;
	uint64 listed; /* number of the last look that found it */
	bool unknown;  /* it was run, and only the next look shows whether it is due again */
	TimestampTz due_at;
	TimestampTz again_at; /* when to run it again even if the store has not changed */
	int64 size;			  /* how much a run handles at most */
	SierraJobState state; /* at the last look */

	/* Its last run, at exhausted_at, found nothing to do in a store of that state. */
	bool exhausted;
	SierraJobState exhausted_state;
	TimestampTz exhausted_at;

	TimestampTz last_run;
	TimestampTz paused_until;
	uint32 failures;
	char last_error[SIERRA_JOB_ERROR_MAX];
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
	int jobs;
	bool held_back; /* an append in flight holds back events that exist */
} SierraJobLook;

/* Updates the list of jobs.  Called outside of transactions. */
extern void sierra_jobs_look(SierraJobLook *look);

/*
 * The job to run next, or NULL if none is due; how many are due; and when the
 * next of the others will be due, DT_NOEND for never.
 */
extern SierraJob *sierra_jobs_next(TimestampTz now, int *due, TimestampTz *wake_at);

/*
 * Runs a job in a transaction of its own.  An error is logged and put into the
 * result; none is raised, except to end the process.
 */
extern void sierra_job_run(SierraJob *job, SierraJobResult *result);

/* A description of a job for people, in static memory.  Called outside of transactions. */
extern const char *sierra_job_describe(const SierraJob *job);

#endif /* SIERRA_RUNNER_JOB_H */
