/*
 * guc.h
 *		The extension's settings.
 */
#ifndef SIERRA_GUC_H
#define SIERRA_GUC_H

/* sierra_es.store: the store that calls use; never NULL */
extern char *sierra_guc_store;

/* sierra_es.metadata: a JSON object with members for the metadata of each event, or '' */
extern char *sierra_guc_metadata;

/* sierra_es.strict_versioning: refuse the expected versions any and exists */
extern bool sierra_guc_strict_versioning;

/* sierra_es.restore: let the owner COPY or INSERT rows of a dump */
extern bool sierra_guc_restore;

/* sierra_es.notify: who sends NOTIFY sierra_es for an append */
typedef enum SierraNotify
{
	SIERRA_NOTIFY_OFF,
	SIERRA_NOTIFY_WORKER,
	SIERRA_NOTIFY_TRANSACTION
} SierraNotify;

extern int sierra_guc_notify;

/* sierra_es.notify_interval: milliseconds between two rounds of NOTIFY */
extern int sierra_guc_notify_interval;

/* sierra_es.sweep_interval: milliseconds between two looks for what rang no bell */
extern int sierra_guc_sweep_interval;

/* sierra_es.poll_interval: milliseconds between two looks without a bell */
extern int sierra_guc_poll_interval;

/* sierra_es.max_waiters: sessions of a database that may wait at a time */
extern int sierra_guc_max_waiters;

/* The most that sierra_es.workers can be; runner slots in shared memory. */
#define SIERRA_RUNNERS_MAX 64

/* sierra_es.workers: runners that the server has at most */
extern int sierra_guc_workers;

extern void sierra_guc_define(void);

#endif /* SIERRA_GUC_H */
