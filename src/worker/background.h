/*
 * background.h
 *		What the background processes share: start, settings, transactions.
 */
#ifndef SIERRA_BACKGROUND_H
#define SIERRA_BACKGROUND_H

#include "postmaster/bgworker.h"

#include "base/clock.h"

/*
 * Fills in worker: the entry function, the type ("sierra_es TYPE" in
 * pg_stat_activity), and for its name the database, or InvalidOid.
 */
extern void sierra_background_describe(BackgroundWorker *worker, const char *function,
									   const char *type, Oid database);

/*
 * Asks the postmaster to start a process, and to signal this one when it ends.
 * The handle is allocated in this context.  False if all of
 * max_worker_processes are in use.
 */
extern bool sierra_background_start(BackgroundWorker *worker, MemoryContext context,
									BackgroundWorkerHandle **handle);

/* After the server had no room for a process, no other is started before until. */
typedef struct SierraNoRoom
{
	SierraTime until;
	uint32 failures; /* since the last start that succeeded */
} SierraNoRoom;

/*
 * Reports that there was no room for a runner: the first failure in a row is logged, and
 * the pause until the next attempt gets longer.
 */
extern void sierra_background_no_room(SierraNoRoom *no_room);

/* A setting that neither the database nor its owner can change for this process. */
typedef struct SierraSetting
{
	const char *name;
	const char *value;
} SierraSetting;

/* Pins these settings, and the default_transaction_* settings to their defaults. */
extern void sierra_background_pin(const SierraSetting *settings, int count);

/*
 * Begin and end of a transaction with an active snapshot; pg_stat_activity
 * shows the activity.
 */
extern void sierra_background_begin(const char *activity);
extern void sierra_background_end(void);

#endif /* SIERRA_BACKGROUND_H */
