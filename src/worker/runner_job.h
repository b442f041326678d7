/*
 * runner_job.h
 *		Runs a job: timers, sagas or a projection of a store.
 */
#ifndef SIERRA_RUNNER_JOB_H
#define SIERRA_RUNNER_JOB_H

#include "worker/job_table.h"

/* The result of a run. */
typedef struct SierraJobResult
{
	bool failed; /* then error is the message */
	int64 handled;
	char error[SIERRA_JOB_ERROR_MAX];
} SierraJobResult;

/*
 * Runs a job in a transaction of its own.  An error is logged and put into the
 * result; none is raised, except to end the process.  Each part of the job has
 * sierra_es.job_timeout.
 */
extern void sierra_job_run(SierraJob *job, SierraJobResult *result);

#endif /* SIERRA_RUNNER_JOB_H */
