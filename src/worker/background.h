/*
 * background.h
 *		What the background processes share: being started, settings, transactions.
 */
#ifndef SIERRA_BACKGROUND_H
#define SIERRA_BACKGROUND_H

#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

/* What fits the process: its entry function, its type, and the database for its name. */
extern void sierra_background_describe(BackgroundWorker *worker, const char *function,
									   const char *type, Oid database);

/*
 * Asks the postmaster for a process, and to be told when that ends; the handle is
 * in this context.  False if the server has no room for another.
 */
extern bool sierra_background_start(BackgroundWorker *worker, MemoryContext context,
									BackgroundWorkerHandle **handle);

/* The server had no room for a process: nothing is started before until. */
typedef struct SierraNoRoom
{
	TimestampTz until;
	uint32 failures; /* in a row */
} SierraNoRoom;

/* Says so in the log, the first time; what: "a runner".  hint: what to do. */
extern void sierra_background_no_room(SierraNoRoom *no_room, const char *what, const char *hint);

/* Settings that neither the database nor its owner may change for this process. */
typedef struct SierraSetting
{
	const char *name;
	const char *value;
} SierraSetting;

/* Pins these settings, and those of transactions to their defaults. */
extern void sierra_background_pin(const SierraSetting *settings, int count);

/* Around a transaction with an active snapshot; pg_stat_activity shows the activity. */
extern void sierra_background_begin(const char *activity);
extern void sierra_background_end(void);

#endif /* SIERRA_BACKGROUND_H */
