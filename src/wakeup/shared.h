/*
 * shared.h
 *		All shared memory of the extension: a slot for each database, for each runner
 *		and for each backend.
 *
 * It exists only if shared_preload_libraries names the library.  Without it, sessions
 * that wait for events look for them again and again, and there are no notifiers and
 * runners.
 */
#ifndef SIERRA_SHARED_H
#define SIERRA_SHARED_H

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "base/guc.h"

/* Maximum number of databases with a slot; the others work as if not preloaded. */
#define SIERRA_DATABASES_MAX 64

/* Maximum number of stores in SierraRings. */
#define SIERRA_RINGS_MAX 16

/* Maximum number of statements that can hold a database at the same time. */
#define SIERRA_HOLDS_MAX 32

/* Sizes of texts, in bytes with the final NUL. */
#define SIERRA_NOTIFIER_ERROR_MAX 256
#define SIERRA_RUNNER_JOB_MAX 320
#define SIERRA_RUNNER_ERROR_MAX 256

/* A store whose transactions rang the doorbell. */
typedef struct SierraRing
{
	Oid schema;
	int64 position; /* highest that was committed; SIERRA_NONE: only locks were released */
	bool notify;	/* the notifier has to send the NOTIFY */
} SierraRing;

/* The stores whose transactions rang the doorbell since the notifier last took them. */
typedef struct SierraRings
{
	int count;
	bool overflow; /* there were more than SIERRA_RINGS_MAX stores */
	SierraRing store[SIERRA_RINGS_MAX];
} SierraRings;

/* The state of the notifier of a database; notifier.c and worker_launcher.c change it. */
typedef enum SierraNotifierState
{
	SIERRA_NOTIFIER_NONE,	  /* there is none, and none is needed */
	SIERRA_NOTIFIER_WANTED,	  /* the launcher has to start it, but not before retry_at */
	SIERRA_NOTIFIER_STARTING, /* the launcher asked the postmaster to start it */
	SIERRA_NOTIFIER_RUNNING
} SierraNotifierState;

/* What is known about the notifier of a database; protected by sierra_shared->lock. */
typedef struct SierraNotifierInfo
{
	SierraNotifierState state;
	int pid;
	uint32 failures; /* how often in a row it failed to start or ended early */
	TimestampTz retry_at;
	TimestampTz started;
	TimestampTz last_wake;
	TimestampTz last_sweep;
	TimestampTz last_notify;
	int64 notifications;
	TimestampTz last_error_at;
	char last_error[SIERRA_NOTIFIER_ERROR_MAX];
} SierraNotifierInfo;

/*
 * The process that the next ring wakes, the listener.  The ring sets it back to NONE,
 * so each listener is woken once and has to become the listener again.
 */
typedef enum SierraListener
{
	SIERRA_LISTENER_NONE,
	SIERRA_LISTENER_NOTIFIER,
	SIERRA_LISTENER_LAUNCHER /* to start the notifier, because there is none */
} SierraListener;

/* The state of a runner slot. */
typedef enum SierraRunnerState
{
	SIERRA_RUNNER_FREE,		/* no runner has the slot */
	SIERRA_RUNNER_STARTING, /* the launcher asked the postmaster to start the runner */
	SIERRA_RUNNER_RUNNING
} SierraRunnerState;

/* A runner slot; sierra_shared->lock protects all members except leave. */
typedef struct SierraRunner
{
	SierraRunnerState state;
	uint32 token; /* distinguishes this start from other starts in the same slot */
	Oid database;
	int pid;
	Latch *latch;
	pg_atomic_uint32 leave; /* the runner has to leave, its slot is needed */
	bool idle;				/* it found no job that is due */
	TimestampTz started;
	int64 jobs;
	int64 events;
	char job[SIERRA_RUNNER_JOB_MAX]; /* empty: none */
	TimestampTz last_error_at;
	char last_error[SIERRA_RUNNER_ERROR_MAX];
} SierraRunner;

/*
 * The runner demand of a database: whether, and when, it needs a runner.
 * sierra_shared->lock protects all members that are not atomic.
 */
typedef struct SierraRunnerDemand
{
	pg_atomic_uint32 launcher_called; /* 1: a wake-up does not have to call the launcher */
	pg_atomic_uint32 has_runner;	  /* runners that notice wake-ups by themselves */
	pg_atomic_uint64 jobs_made;		  /* counts transactions that made jobs */
	TimestampTz due_at;				  /* without a runner: when the database needs one */
	TimestampTz retry_at;			  /* not before this time, because its runners fail */
	TimestampTz left_at;			  /* when the last runner left */
	uint32 failures;				  /* of runners, in a row */
	int backlog;					  /* jobs that were due at the same time; 0: not busy */
} SierraRunnerDemand;

/* The slot of a database: what its sessions, its notifier and its runners share. */
typedef struct SierraDatabaseSlot
{
	Oid database;					   /* InvalidOid: free; under sierra_shared->lock */
	pg_atomic_uint64 wakeups;		   /* counts how often the doorbell rang */
	pg_atomic_uint32 listener;		   /* SierraListener: the process that the next ring wakes */
	pg_atomic_uint64 wakeups_handled;  /* wakeups when the notifier last woke the waiters */
	pg_atomic_uint32 has_notifier;	   /* 1: there is a notifier to wake the waiters */
	pg_atomic_uint32 progress_waiters; /* sessions that wait for consumers; may be too high */
	ConditionVariable waiters;		   /* sessions that wait for events or consumers */

	slock_t mutex; /* protects the next two */
	Latch *notifier_latch;
	SierraRings rings;

	SierraNotifierInfo notifier;
	SierraRunnerDemand demand;
} SierraDatabaseSlot;

/* A statement that needs a database without our processes, see process_utility.c. */
typedef struct SierraHold
{
	Oid database; /* InvalidOid: free */
	int pid;
} SierraHold;

/* What the current transaction of a backend has announced, see announce.c. */
typedef struct SierraAnnouncement
{
	pg_atomic_uint32 transaction; /* its local id; invalid: the rest is not set */
	Oid database;
	Oid events;
	int64 position; /* it writes only above this one */
} SierraAnnouncement;

typedef struct SierraShared
{
	LWLock *lock;
	slock_t mutex; /* protects the next one */
	Latch *launcher_latch;
	pg_atomic_uint32 waiting; /* 1: there are databases that wait for a free runner slot */
	SierraHold hold[SIERRA_HOLDS_MAX];
	SierraDatabaseSlot slot[SIERRA_DATABASES_MAX];
	SierraRunner runner[SIERRA_RUNNERS_MAX];
	SierraAnnouncement announcement[FLEXIBLE_ARRAY_MEMBER]; /* of MaxBackends backends */
} SierraShared;

/* NULL if the library was not preloaded. */
extern SierraShared *sierra_shared;

/* Requests shared memory; called while preloaded libraries are loaded. */
extern void sierra_shared_request(void);

/*
 * The slot of a database; takes a free one if the database has none.  NULL if the
 * library was not preloaded, or if no slot is free.  The slot belongs to the database
 * until sierra_shared_forget_slot(), which must not be called while sessions use the
 * database.  Both functions take sierra_shared->lock.
 */
extern SierraDatabaseSlot *sierra_shared_slot(Oid database);
extern void sierra_shared_forget_slot(Oid database);

/* The slot of a database, or NULL if it has none; the caller holds sierra_shared->lock. */
extern SierraDatabaseSlot *sierra_shared_find_slot(Oid database);

/* sierra_shared_slot() of the database of this session. */
extern SierraDatabaseSlot *sierra_shared_own_slot(void);

/*
 * Resets the runner demand: no runner is needed, and none has failed.  The caller
 * holds sierra_shared->lock.
 */
extern void sierra_shared_reset_demand(struct SierraDatabaseSlot *slot);

/*
 * Does a statement keep our processes out of this database?  The first takes
 * sierra_shared->lock; the second is for callers that hold it.
 */
extern bool sierra_shared_is_held(Oid database);
extern bool sierra_shared_is_held_locked(Oid database);

#endif /* SIERRA_SHARED_H */
