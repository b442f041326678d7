/*
 * job_look.h
 *		Looks at the stores of a database for jobs that are due.
 */
#ifndef SIERRA_JOB_LOOK_H
#define SIERRA_JOB_LOOK_H

#include "base/clock.h"

/* The result of a look. */
typedef struct SierraJobLook
{
	bool installed; /* the database has the extension */
	int stores;
	int jobs;
	bool several_owners; /* the stores belong to more than one role */
	bool held_back;		 /* an append in flight holds back events that exist */
	bool unfinished;	 /* stores were left to the next look: the time of their owners is over */
	SierraTime again_at; /* when a store that was left out may be looked at */
} SierraJobLook;

/*
 * Updates the list of jobs, for a runner that serves this owner of stores, or nobody.
 * Called outside of transactions.
 */
extern void sierra_jobs_look(SierraJobLook *look, Oid served);

#endif /* SIERRA_JOB_LOOK_H */
