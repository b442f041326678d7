/*
 * runner_pool.h
 *		The runners of a server: which databases have one, and which are to get one.
 */
#ifndef SIERRA_RUNNER_POOL_H
#define SIERRA_RUNNER_POOL_H

#include "port/atomics.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

struct SierraBell;

/* The most that sierra_es.workers can be. */
#define SIERRA_RUNNERS 64

#define SIERRA_RUNNER_JOB_MAX 320
#define SIERRA_RUNNER_ERROR_MAX 256

typedef enum SierraRunnerState
{
	SIERRA_RUNNER_FREE,		/* a place that nobody has */
	SIERRA_RUNNER_STARTING, /* the launcher asked the postmaster for it */
	SIERRA_RUNNER_RUNNING
} SierraRunnerState;

/* A place for a runner; all but leave under the doorbell's lock. */
typedef struct SierraRunner
{
	SierraRunnerState state;
	uint32 token; /* tells this start from others in the same place */
	Oid database;
	int pid;
	Latch *latch;
	pg_atomic_uint32 leave; /* somebody else needs the place */
	bool idle;				/* it found nothing that is due */
	TimestampTz started;
	int64 jobs;
	int64 events;
	char job[SIERRA_RUNNER_JOB_MAX]; /* empty: none */
	TimestampTz last_error_at;
	char last_error[SIERRA_RUNNER_ERROR_MAX];
} SierraRunner;

/* What a database wants of the pool; but for the atomics under the doorbell's lock. */
typedef struct SierraWant
{
	pg_atomic_uint32 called;  /* who rings need not call the launcher */
	pg_atomic_uint32 present; /* a runner is there that hears who rings */
	pg_atomic_uint64 made;	  /* counts transactions that made jobs */
	TimestampTz due_at;		  /* without a runner: when it is to get one */
	TimestampTz retry_at;	  /* but not before, for its runners fail */
	TimestampTz left_at;	  /* when the last runner left */
	uint32 failures;		  /* of runners, in a row */
	int backlog;			  /* jobs that were due at a time, 0: not busy */
} SierraWant;

/* For the launcher: makes runners come and go; returns when to call again. */
extern TimestampTz sierra_pool_tend(TimestampTz now);

/* For a new launcher: forgets what one before has asked for. */
extern void sierra_pool_take_over(void);

/* The bell of this database rang: it gets a runner if it has none. */
extern void sierra_pool_call(struct SierraBell *bell);

/* The database may have a runner from now on; the caller holds the doorbell's lock. */
extern void sierra_pool_welcome(struct SierraBell *bell);

/* How many runners a database has; the caller holds the doorbell's lock. */
extern int sierra_pool_count(Oid database);

/*
 * Asks the runners of a database to look whether they are to end, and with a
 * signal tells them; returns how many there are.
 */
extern int sierra_pool_dismiss(Oid database, bool signal);

#endif /* SIERRA_RUNNER_POOL_H */
