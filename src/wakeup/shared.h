/*
 * shared.h
 *		All shared memory of the extension: what there is about each database, and
 *		the slots of runners.
 *
 * Exists only when shared_preload_libraries names the library.  Everything works
 * without it: sessions that wait look again by themselves.
 */
#ifndef SIERRA_SHARED_H
#define SIERRA_SHARED_H

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "base/guc.h"

/* Databases that can have a bell; in others, who waits looks again and again. */
#define SIERRA_DATABASES_MAX 64

/* Stores of a database that rang since its worker last looked. */
#define SIERRA_RINGS_MAX 16

/* Statements at a time that can send workers away. */
#define SIERRA_HOLDS_MAX 32

#define SIERRA_NOTIFIER_ERROR_MAX 256

#define SIERRA_RUNNER_JOB_MAX 320
#define SIERRA_RUNNER_ERROR_MAX 256

/* A store that rang. */
typedef struct SierraRing
{
	Oid schema;
	int64 position; /* highest that was committed; SIERRA_NONE: a lock went */
	bool notify;	/* its appender leaves the NOTIFY to the worker */
} SierraRing;

/* What rang since the worker last took it. */
typedef struct SierraRings
{
	int count;
	bool overflow; /* there were more stores than fit */
	SierraRing store[SIERRA_RINGS_MAX];
} SierraRings;

/* How the worker of a database is; notifier.c and worker_launcher.c say who changes it. */
typedef enum SierraNotifierState
{
	SIERRA_NOTIFIER_NONE,	  /* none, and nobody asked for one */
	SIERRA_NOTIFIER_WANTED,	  /* the launcher is to start it, not before retry_at */
	SIERRA_NOTIFIER_STARTING, /* the launcher asked the postmaster for it */
	SIERRA_NOTIFIER_RUNNING
} SierraNotifierState;

/* What is known about a worker; under the doorbell's lock. */
typedef struct SierraNotifierInfo
{
	SierraNotifierState state;
	int pid;
	uint32 failures; /* starts and runs that ended early, in a row */
	TimestampTz retry_at;
	TimestampTz started;
	TimestampTz last_wake;
	TimestampTz last_sweep;
	TimestampTz last_notify;
	int64 notifications;
	TimestampTz last_error_at;
	char last_error[SIERRA_NOTIFIER_ERROR_MAX];
} SierraNotifierInfo;

/* Whom the next ring wakes.  It wakes him once: he says when he listens again. */
typedef enum SierraListener
{
	SIERRA_LISTENER_NONE,
	SIERRA_LISTENER_NOTIFIER,
	SIERRA_LISTENER_LAUNCHER /* to start the worker that is missing */
} SierraListener;

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
typedef struct SierraRunnerDemand
{
	pg_atomic_uint32 launcher_called; /* who rings need not call the launcher */
	pg_atomic_uint32 has_runner;	  /* a runner is there that hears who rings */
	pg_atomic_uint64 jobs_made;		  /* counts transactions that made jobs */
	TimestampTz due_at;				  /* without a runner: when it is to get one */
	TimestampTz retry_at;			  /* but not before, for its runners fail */
	TimestampTz left_at;			  /* when the last runner left */
	uint32 failures;				  /* of runners, in a row */
	int backlog;					  /* jobs that were due at a time, 0: not busy */
} SierraRunnerDemand;

/* The bell of a database. */
typedef struct SierraDatabaseSlot
{
	Oid database;					   /* changed under the doorbell's lock */
	pg_atomic_uint64 wakeups;		   /* counts how often it rang */
	pg_atomic_uint32 listener;		   /* SierraListener: whose latch the next ring sets */
	pg_atomic_uint64 wakeups_handled;  /* the count when the worker last woke who waits */
	pg_atomic_uint32 has_notifier;	   /* a worker is there to wake who waits */
	pg_atomic_uint32 progress_waiters; /* sessions that wait for consumers, about */
	ConditionVariable waiters;		   /* sessions that wait */

	slock_t mutex; /* for the next two */
	Latch *notifier_latch;
	SierraRings rings;

	SierraNotifierInfo notifier;
	SierraRunnerDemand demand;
} SierraDatabaseSlot;

/* A statement that needs a database for itself, see process_utility.c. */
typedef struct SierraHold
{
	Oid database; /* InvalidOid: free */
	int pid;
} SierraHold;

typedef struct SierraShared
{
	LWLock *lock;
	slock_t mutex; /* for the launcher's latch */
	Latch *launcher_latch;
	pg_atomic_uint32 waiting; /* databases wait for a place in the pool */
	SierraHold hold[SIERRA_HOLDS_MAX];
	SierraDatabaseSlot slot[SIERRA_DATABASES_MAX];
	SierraRunner runner[SIERRA_RUNNERS_MAX];
} SierraShared;

/* NULL when the library was not preloaded. */
extern SierraShared *sierra_shared;

/* Asks for shared memory; called while preloaded libraries are loaded. */
extern void sierra_shared_request(void);

/*
 * The slot of a database, a new one if it has none; NULL without preloading, and
 * when too many databases have one.  It stays the database's slot until
 * sierra_shared_forget_slot(), which must not come while sessions use the database.
 */
extern SierraDatabaseSlot *sierra_shared_slot(Oid database);
extern void sierra_shared_forget_slot(Oid database);

/* The same, but NULL if it has none; the caller holds the doorbell's lock. */
extern SierraDatabaseSlot *sierra_shared_find_slot(Oid database);

/* The bell of this session's database; as sierra_shared_slot(). */
extern SierraDatabaseSlot *sierra_shared_own_slot(void);

/* The database may have a runner from now on; the caller holds the doorbell's lock. */
extern void sierra_shared_reset_demand(struct SierraDatabaseSlot *slot);

/*
 * Does a statement keep our processes out of this database?  The second is for
 * callers that hold the lock.
 */
extern bool sierra_shared_is_held(Oid database);
extern bool sierra_shared_is_held_locked(Oid database);

#endif /* SIERRA_SHARED_H */
