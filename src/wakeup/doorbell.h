/*
 * doorbell.h
 *		The doorbell: commits of appends ring it, and who waits for events hears it.
 *
 * Lives in shared memory, so only when shared_preload_libraries names the
 * library.  Everything works without it: who waits looks again by himself.
 */
#ifndef SIERRA_DOORBELL_H
#define SIERRA_DOORBELL_H

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "store/store.h"
#include "worker/runner_pool.h"

/* Databases that can have a bell; in others, who waits looks again and again. */
#define SIERRA_BELLS 64

/* Stores of a database that rang since its worker last looked. */
#define SIERRA_BELL_STORES 16

/* Statements at a time that can send workers away. */
#define SIERRA_HOLDS 32

#define SIERRA_WORKER_ERROR_MAX 256

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
	SierraRing store[SIERRA_BELL_STORES];
} SierraRings;

/* How the worker of a database is; notifier.c and worker_launcher.c say who changes it. */
typedef enum SierraWorkerState
{
	SIERRA_WORKER_NONE,		/* none, and nobody asked for one */
	SIERRA_WORKER_WANTED,	/* the launcher is to start it, not before retry_at */
	SIERRA_WORKER_STARTING, /* the launcher asked the postmaster for it */
	SIERRA_WORKER_RUNNING
} SierraWorkerState;

/* What is known about a worker; under the doorbell's lock. */
typedef struct SierraWorkerInfo
{
	SierraWorkerState state;
	int pid;
	uint32 failures; /* starts and runs that ended early, in a row */
	TimestampTz retry_at;
	TimestampTz started;
	TimestampTz last_wake;
	TimestampTz last_sweep;
	TimestampTz last_notify;
	int64 notifications;
	TimestampTz last_error_at;
	char last_error[SIERRA_WORKER_ERROR_MAX];
} SierraWorkerInfo;

/* Whom the next ring wakes.  It wakes him once: he says when he listens again. */
typedef enum SierraListener
{
	SIERRA_LISTENER_NONE,
	SIERRA_LISTENER_WORKER,
	SIERRA_LISTENER_LAUNCHER /* to start the worker that is missing */
} SierraListener;

/* The bell of a database. */
typedef struct SierraBell
{
	Oid database;				 /* changed under the doorbell's lock */
	pg_atomic_uint64 generation; /* counts how often it rang */
	pg_atomic_uint32 listener;	 /* SierraListener: whose latch the next ring sets */
	pg_atomic_uint64 heard;		 /* the count when the worker last woke who waits */
	pg_atomic_uint32 answered;	 /* a worker is there to wake who waits */
	pg_atomic_uint32 awaiting;	 /* sessions that wait for consumers, about */
	ConditionVariable rung;		 /* sessions that wait */

	slock_t mutex; /* for the next two */
	Latch *worker_latch;
	SierraRings rings;

	SierraWorkerInfo worker;
	SierraWant want;
} SierraBell;

/* A statement that needs a database for itself, see process_utility.c. */
typedef struct SierraHold
{
	Oid database; /* InvalidOid: free */
	int pid;
} SierraHold;

typedef struct SierraDoorbell
{
	LWLock *lock;
	slock_t mutex; /* for the launcher's latch */
	Latch *launcher_latch;
	pg_atomic_uint32 waiting; /* databases wait for a place in the pool */
	SierraHold hold[SIERRA_HOLDS];
	SierraBell bell[SIERRA_BELLS];
	SierraRunner runner[SIERRA_RUNNERS];
} SierraDoorbell;

/* NULL when the library was not preloaded. */
extern SierraDoorbell *sierra_doorbell;

/* Asks for shared memory; called while preloaded libraries are loaded. */
extern void sierra_doorbell_request(void);

/*
 * The bell of a database, a new one if it has none; NULL without preloading,
 * and when too many databases have one.  Stays its bell until
 * sierra_doorbell_forget(), which must not come while sessions use the database.
 */
extern SierraBell *sierra_doorbell_bell(Oid database);
extern void sierra_doorbell_forget(Oid database);

/* The same, but NULL if it has none; the caller holds the doorbell's lock. */
extern SierraBell *sierra_doorbell_find(Oid database);

/*
 * This transaction takes locks that hold back who reads the store; called before.
 * However it ends, the bell rings then.
 */
extern void sierra_doorbell_note_locks(const SierraStore *store);

/* This transaction wrote events up to position: the bell rings at its commit. */
extern void sierra_doorbell_note_append(const SierraStore *store, int64 position);

/* This transaction made work for runners: the bell rings at its commit, and calls one. */
extern void sierra_doorbell_note_job(const SierraStore *store);

/* This transaction moved a consumer on: the bell rings at its commit if somebody awaits that. */
extern void sierra_doorbell_note_progress(void);

/*
 * Around waiting for a consumer.  A session that dies in between leaves the count
 * too high, which costs rings that nobody needs.
 */
extern void sierra_doorbell_begin_await(void);
extern void sierra_doorbell_end_await(void);

/* The bell of this session's database; as sierra_doorbell_bell(). */
extern SierraBell *sierra_doorbell_own(void);

/* Calls the launcher if the database has no worker, and the launcher wants to know. */
extern void sierra_doorbell_want_worker(SierraBell *bell);

/* The next ring wakes the worker, for somebody waits. */
extern void sierra_doorbell_want_answer(SierraBell *bell);

/* Wakes the worker, if there is one, without counting a ring. */
extern void sierra_doorbell_wake_worker(SierraBell *bell);

/* Puts what is in the second among the first. */
extern void sierra_doorbell_add_rings(SierraRings *rings, const SierraRings *more);

/* Wakes the launcher, so that it looks after workers that are wanted. */
extern void sierra_doorbell_call_launcher(void);

#endif /* SIERRA_DOORBELL_H */
