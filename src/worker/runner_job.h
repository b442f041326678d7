/*
 * runner_job.h
 *		What there is to run in a database: timers, sagas and projections of its stores.
 */
#ifndef SIERRA_RUNNER_JOB_H
#define SIERRA_RUNNER_JOB_H

#include "utils/timestamp.h"

#define SIERRA_JOB_ERROR_MAX 256

/* Names have up to 200 bytes. */
#define SIERRA_JOB_NAME_MAX 204

typedef enum SierraJobKind
{
	SIERRA_JOB_LOOK, /* to find out what there is in a store; not run by itself */
	SIERRA_JOB_TIMERS,
	SIERRA_JOB_SAGAS,
	SIERRA_JOB_PROJECTION
} SierraJobKind;

/* The hash key; no padding, the rest of the name is zero. */
typedef struct SierraJobKey
{
	Oid schema;
	int32 kind;
	int32 version;
	char projection[SIERRA_JOB_NAME_MAX];
} SierraJobKey;

/* What a store was like at the last look. */
typedef struct SierraJobState
{
	int64 events;	/* -1: unknown */
	int64 readable; /* the newest position that can be read */
	int64 row;		/* the version of the job's own row */
} SierraJobState;

typedef struct SierraJob
{
	SierraJobKey key;
	uint64 listed; /* the look that found it */
	bool unknown;  /* was run, and what there is left is known after a look */
	TimestampTz due_at;
	TimestampTz again_at; /* when something is due even though there is nothing new */
	int64 size;
	SierraJobState state;

	/* It found nothing to do when the store was like that. */
	bool exhausted;
	SierraJobState exhausted_state;
	TimestampTz exhausted_at;

	TimestampTz last_run;
	TimestampTz paused_until;
	uint32 failures;
	char last_error[SIERRA_JOB_ERROR_MAX];
} SierraJob;

/* What a run came to. */
typedef struct SierraJobResult
{
	bool failed; /* then error tells why */
	int64 handled;
	char error[SIERRA_JOB_ERROR_MAX];
} SierraJobResult;

/* What a look came to. */
typedef struct SierraJobLook
{
	bool installed; /* the extension is there */
	int jobs;
	bool held_back; /* an append in flight holds back events that are there */
} SierraJobLook;

/* Finds out what there is to do; outside of transactions. */
extern void sierra_jobs_look(SierraJobLook *look);

/*
 * The job whose turn it is, and how many are due; NULL if none, then *wake_at is
 * when the next one is.
 */
extern SierraJob *sierra_jobs_next(TimestampTz now, int *due, TimestampTz *wake_at);

/* Runs a job in a transaction of its own; never throws but to end the process. */
extern void sierra_job_run(SierraJob *job, SierraJobResult *result);

/* For people: what a job runs.  Outside of transactions. */
extern const char *sierra_job_describe(const SierraJob *job);

#endif /* SIERRA_RUNNER_JOB_H */
