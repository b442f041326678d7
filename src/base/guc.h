/*
 * guc.h
 *		The extension's settings.
 */
#ifndef SIERRA_GUC_H
#define SIERRA_GUC_H

/* sierra_es.store: the store that function calls use; never NULL */
extern char *sierra_guc_store;

/* sierra_es.metadata: a JSON object whose members go into the metadata of each event, or '' */
extern char *sierra_guc_metadata;

/* sierra_es.strict_versioning: refuses the expected versions any and exists */
extern bool sierra_guc_strict_versioning;

/* sierra_es.early_lock_release: releases the locks of an append before its commit is flushed */
extern bool sierra_guc_early_lock_release;

/* sierra_es.restore: lets the owner COPY or INSERT rows of a dump into event tables */
extern bool sierra_guc_restore;

/* sierra_es.notify: which process sends NOTIFY sierra_es for an append, if any */
typedef enum SierraNotify
{
	SIERRA_NOTIFY_OFF,
	SIERRA_NOTIFY_RUNNER,
	SIERRA_NOTIFY_TRANSACTION
} SierraNotify;

extern int sierra_guc_notify;

/* sierra_es.notify_interval: milliseconds between two rounds of NOTIFY in a database */
extern int sierra_guc_notify_interval;

/*
 * sierra_es.sweep_interval: milliseconds after which a runner, and a session that
 * waits, looks for new events although nothing rang the doorbell
 */
extern int sierra_guc_sweep_interval;

/* sierra_es.poll_interval: milliseconds between two looks of a session that nobody wakes */
extern int sierra_guc_poll_interval;

/* sierra_es.max_waiters: maximum number of sessions of a database that wait at the same time */
extern int sierra_guc_max_waiters;

/* Upper limit of sierra_es.max_runners; shared memory has this number of runner slots. */
#define SIERRA_RUNNERS_MAX 64

/* sierra_es.max_runners: maximum number of runners of the server */
extern int sierra_guc_max_runners;

/* sierra_es.max_databases: maximum number of databases with a slot in shared memory */
extern int sierra_guc_max_databases;

/* sierra_es.job_timeout: milliseconds that a part of a job may take; 0: no limit */
extern int sierra_guc_job_timeout;

/* sierra_es.run_jobs: do jobs run by themselves? */
extern bool sierra_guc_run_jobs;

/* sierra_es.paused_stores: stores whose jobs do not; a list of names, never NULL */
extern char *sierra_guc_paused_stores;

/*
 * Their values for the whole server.  A process has those of its database from its
 * beginning; with these, it can see what ALTER DATABASE ... RESET changes meanwhile.
 */
extern bool sierra_guc_run_jobs_of_server;
extern char *sierra_guc_paused_stores_of_server;

/* Defines all settings; called once per process, by _PG_init(). */
extern void sierra_guc_define(void);

#endif /* SIERRA_GUC_H */
