/*
 * shared.h
 *		All shared memory of the extension: a slot for each database, for each runner
 *		and for each backend, and counters of stores.
 *
 * It exists only if shared_preload_libraries names the library.  Without it, sessions
 * that wait for events look for them again and again, and there are no runners.
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

#include "base/clock.h"
#include "base/guc.h"
#include "store/early_release.h"

/* Maximum number of stores in SierraRings. */
#define SIERRA_RINGS_MAX 16

/* Maximum number of statements that can hold a database at the same time. */
#define SIERRA_HOLDS_MAX 32

/* Maximum number of databases that are remembered because no slot was free. */
#define SIERRA_REFUSED_MAX 16

/* Notes about jobs, in sets; with more jobs, some are run to find nothing to do. */
#define SIERRA_NOTES_MAX 4096
#define SIERRA_NOTES_IN_SET 8

/* Sizes of texts, in bytes with the final NUL. */
#define SIERRA_RUNNER_JOB_MAX 320
#define SIERRA_ERROR_MAX 256
#define SIERRA_PHASE_MAX 32
#define SIERRA_SUBJECT_MAX 256

/* A store whose transactions rang the doorbell. */
typedef struct SierraRing
{
	Oid schema;
	int64 position; /* highest that was committed; SIERRA_NONE: only locks were released */
	bool notify;	/* a runner has to send the NOTIFY */
} SierraRing;

/* The stores whose transactions rang the doorbell since a runner last took them. */
typedef struct SierraRings
{
	int count;
	bool overflow; /* there were more than SIERRA_RINGS_MAX stores, or it is not known which */
	SierraRing store[SIERRA_RINGS_MAX];
} SierraRings;

/*
 * Whom the next ring wakes: bits of "listeners".  The ring removes them, so each
 * listener is woken once and has to become a listener again.
 */
#define SIERRA_LISTEN_WAITERS 0x1  /* sessions that wait, and runners that are idle */
#define SIERRA_LISTEN_LAUNCHER 0x2 /* it sends a runner, because there is none, or none is idle */
#define SIERRA_LISTEN_ALL (SIERRA_LISTEN_WAITERS | SIERRA_LISTEN_LAUNCHER)

/* The state of a runner slot. */
typedef enum SierraRunnerState
{
	SIERRA_RUNNER_FREE,		/* no runner has the slot */
	SIERRA_RUNNER_STARTING, /* the launcher asked the postmaster to start the runner */
	SIERRA_RUNNER_RUNNING
} SierraRunnerState;

/*
 * Whose jobs a runner runs: the owner of the store, and the role as which the code of
 * the jobs runs.  Nothing of one may survive into a job of another.
 */
typedef struct SierraJobOwner
{
	Oid store_owner; /* InvalidOid: nobody */
	Oid owner;
} SierraJobOwner;

/* Has the job of a runner taken so long that others should not wait for it? */
typedef enum SierraStuck
{
	SIERRA_NOT_STUCK,
	SIERRA_STUCK,	  /* the launcher has not noticed it */
	SIERRA_STUCK_SEEN /* it has */
} SierraStuck;

/* A runner slot; sierra_shared->lock protects all members except the atomic ones. */
typedef struct SierraRunner
{
	SierraRunnerState state;
	uint32 token; /* distinguishes this start from other starts in the same slot */
	Oid database;
	int pid;
	Latch *latch;
	pg_atomic_uint32 leave;		/* the runner has to leave, its slot is needed */
	pg_atomic_uint32 stuck;		/* SierraStuck: its job takes long */
	pg_atomic_uint64 active_at; /* SierraTime when it last had something to do */
	bool idle;					/* it found no job that is due */
	bool looked;				/* it knows whether the database has the extension */
	SierraJobOwner serves;		/* whose jobs it runs; before its first job, whose it is to run */
	SierraTime started;
	TimestampTz since;
	int64 jobs;
	int64 events;
	char job[SIERRA_RUNNER_JOB_MAX]; /* empty: none */
	TimestampTz last_error_at;
	char last_error[SIERRA_ERROR_MAX];
} SierraRunner;

/*
 * The runner demand of a database: whether, and when, it needs a runner.
 * sierra_shared->lock protects all members that are not atomic.
 */
typedef struct SierraRunnerDemand
{
	pg_atomic_uint32 called; /* 1: a ring woke the launcher, which has not handled it yet */
	bool wants_help;		 /* it rang while its runners were in a job */
	bool no_extension;		 /* the last runner did not find the extension */
	SierraTime due_at;		 /* without a runner: when the database needs one */
	SierraTime retry_at;	 /* not before this time, because its runners fail */
	SierraTime left_at;		 /* when the last runner left */
	SierraTime waits_since;	 /* it has needed a runner since then; 0: it does not wait */
	uint32 failures;		 /* of runners, in a row */
	int backlog;			 /* jobs that were due at the same time; 0: not busy */
	int visit_pause_ms;		 /* until the next visit for what rings nothing; 0: the longest */
	SierraJobOwner next;	 /* whose jobs the next runner is to run */
	SierraJobOwner last;	 /* whom a runner began to serve last: the next in turn is behind it */
} SierraRunnerDemand;

/* What runners did about notifications; protected by sierra_shared->lock. */
typedef struct SierraRounds
{
	TimestampTz last_sweep;
	TimestampTz last_notify;
	int64 notifications;
	TimestampTz last_error_at;
	char last_error[SIERRA_ERROR_MAX];
} SierraRounds;

/* The slot of a database: what its sessions and its runners share. */
typedef struct SierraDatabaseSlot
{
	Oid database;					  /* InvalidOid: free; under sierra_shared->lock */
	pg_atomic_uint64 wakeups;		  /* counts how often the doorbell rang */
	pg_atomic_uint32 listeners;		  /* SIERRA_LISTEN_*: whom the next ring wakes */
	pg_atomic_uint64 wakeups_handled; /* wakeups when a runner last took the rings */
	pg_atomic_uint64 jobs_made;		  /* counts transactions that made jobs */
	pg_atomic_uint64 woken_at;		  /* SierraTime when a ring last woke the waiters */
	pg_atomic_uint64 jobs_run;		  /* by runners; the next two count the same jobs */
	pg_atomic_uint64 jobs_failed;
	pg_atomic_uint64 jobs_handled;	   /* events, steps of sagas and timers */
	pg_atomic_uint32 progress_waiters; /* sessions that wait for consumers; may be too high */
	ConditionVariable waiters;		   /* sessions that wait, and runners that are idle */

	slock_t mutex;		  /* protects the next three */
	SierraTime round_due; /* the next round of notifications does not begin earlier */
	SierraTime sweep_due;
	SierraRings rings;

	SierraRounds rounds;
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

/* What a look observed in a store. */
typedef struct SierraJobState
{
	int64 events;	/* -1: unknown */
	int64 readable; /* the newest position that can be read */
	int64 row;		/* the version of the job's own row */
} SierraJobState;

/* What the last run of a job has shown; see job_note.h. */
typedef struct SierraJobNote
{
	/* It found, at exhausted_at, nothing to do in a store of that state. */
	bool exhausted;
	SierraJobState exhausted_state;
	TimestampTz exhausted_at; /* of the wall clock, like the times of retries in tables */

	SierraTime last_run;
	SierraTime paused_until;
	SierraTime look_due; /* of the look at a store: others do not look again before */
	uint32 failures;
	uint32 error; /* hash of the last error, which is logged only once; 0: none */
} SierraJobNote;

typedef struct SierraSharedNote
{
	uint64 hash;
	Oid database; /* the hash is not enough: owners choose names */
	Oid schema;
	int32 kind;
	SierraTime used_at;
	SierraJobNote note;
} SierraSharedNote;

/* What counters.c counts. */
typedef enum SierraCounter
{
	SIERRA_COUNT_APPENDS, /* these three are counted at the commit */
	SIERRA_COUNT_EVENTS,
	SIERRA_COUNT_BYTES,
	SIERRA_COUNT_ROLLED_BACK, /* appends */
	SIERRA_COUNT_REPEATED,	  /* appends that were stored before */
	SIERRA_COUNT_CONFLICTS,	  /* refused: the stream has another version, or not serializable */
	SIERRA_COUNT_CONDITIONS,  /* refused: the condition failed */
	SIERRA_COUNT_REFUSED,	  /* refused for another reason */
} SierraCounter;

#define SIERRA_COUNTERS (SIERRA_COUNT_REFUSED + 1)

/* The counters of a store. */
typedef struct SierraCounters
{
	pg_atomic_uint64 owner; /* database << 32 | schema; 0: free */
	pg_atomic_uint64 value[SIERRA_COUNTERS];
} SierraCounters;

/* What a backend reports of a call that takes long, see progress.c. */
typedef struct SierraProgress
{
	slock_t mutex;
	int pid; /* 0: there is none */
	Oid database;
	char operation[SIERRA_PHASE_MAX];
	char store[NAMEDATALEN];
	char subject[SIERRA_SUBJECT_MAX];
	char phase[SIERRA_PHASE_MAX];
	int64 done;
	int64 total; /* -1: unknown */
	TimestampTz started_at;
	TimestampTz phase_started_at;
} SierraProgress;

typedef struct SierraShared
{
	/* A line of the cache of its own: many commits write to it. */
	union
	{
		SierraEarlyRelease release;
		char line[PG_CACHE_LINE_SIZE];
	} early;

	LWLock *lock;
	slock_t mutex; /* protects the next one */
	Latch *launcher_latch;
	pg_atomic_uint32 waiting;		 /* 1: there are databases that wait for a free runner slot */
	pg_atomic_uint32 list_databases; /* 1: there may be databases that the launcher does not know */
	bool no_room;					 /* all of max_worker_processes are in use */
	int slots_used;					 /* slots from this one on were never used */
	int counters_used;				 /* the same for counters of stores */
	Oid refused[SIERRA_REFUSED_MAX]; /* databases that got no slot, because none is free */
	SierraHold hold[SIERRA_HOLDS_MAX];
	SierraRunner runner[SIERRA_RUNNERS_MAX];
	SierraSharedNote note[SIERRA_NOTES_MAX];
	SierraAnnouncement announcement[FLEXIBLE_ARRAY_MEMBER]; /* of MaxBackends backends */
} SierraShared;

/* NULL if the library was not preloaded. */
extern SierraShared *sierra_shared;

/* The sierra_es.max_databases slots; those from sierra_shared->slots_used on are free. */
extern SierraDatabaseSlot *sierra_slots;

/* As many counters of stores, and a place for the progress of each of MaxBackends backends. */
extern SierraCounters *sierra_counters;
extern SierraProgress *sierra_progress_places;

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
 * Does a statement keep our processes out of this database?  The first takes
 * sierra_shared->lock; the second is for callers that hold it.
 */
extern bool sierra_shared_is_held(Oid database);
extern bool sierra_shared_is_held_locked(Oid database);

#endif /* SIERRA_SHARED_H */
