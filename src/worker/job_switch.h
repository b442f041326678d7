/*
 * job_switch.h
 *		Whether jobs run by themselves in a database, and in a store.
 */
#ifndef SIERRA_JOB_SWITCH_H
#define SIERRA_JOB_SWITCH_H

/*
 * Called by a runner, in a transaction, before it lists jobs: reads what ALTER DATABASE ...
 * SET has set, since that changes nothing in a process that runs.
 */
extern void sierra_jobs_read_switch(void);

/* Do jobs of a store, by its name, run?  As sierra_jobs_read_switch() has read it. */
extern bool sierra_jobs_run(const char *store);

#endif /* SIERRA_JOB_SWITCH_H */
