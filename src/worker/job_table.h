/*
 * job_table.h
 *		The jobs that a runner knows, and which of them is next.
 */
#ifndef SIERRA_JOB_TABLE_H
#define SIERRA_JOB_TABLE_H

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
	bool skipped;	   /* of a look: it was left out, since it is slow or others took the time */
	SierraTime looked; /* of a look: when it began last; negative before the first one */
	bool trusted;	   /* its owners are superusers */
	TimestampTz due_at;
	TimestampTz again_at; /* when to run it again even if the store has not changed */
	int64 size;			  /* how much a run handles at most */
	SierraJobState state; /* at the last look */

	SierraJobNote note;
} SierraJob;

/* Begins a look: jobs that it does not find are forgotten at its end. */
extern void sierra_jobs_begin_look(void);

/*
 * Finds a job, or enters it, and notes that the look found it.  The name is as in
 * SierraListedJob.
 */
extern SierraJob *sierra_job_find(Oid schema, SierraJobKind kind, const char *name, int32 version);

/*
 * Forgets jobs that the look did not find in the stores at which it looked.  Returns how
 * many remain.
 */
extern int sierra_jobs_forget_others(void);

/* Keeps the note of a job in shared memory, for runners that come later. */
extern void sierra_job_keep_note(const SierraJob *job);

/* Sets lock_timeout until the settings of this level are reset. */
extern void sierra_job_set_lock_timeout(const char *value);

/*
 * In PG_CATCH: logs the error unless the last run of the job failed with the same message,
 * ends the transaction, and pauses the job, longer after each failure.  Copies the message
 * into an array of SIERRA_JOB_ERROR_MAX bytes; it is "too_long", unless that is NULL, if a
 * time limit was over.
 */
extern void sierra_job_failed(SierraJob *job, MemoryContext context, const char *too_long,
							  char *message);

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

/* A description of a job for people, in static memory.  Called outside of transactions. */
extern const char *sierra_job_describe(const SierraJob *job);

#endif /* SIERRA_JOB_TABLE_H */
