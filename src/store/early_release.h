/*
 * early_release.h
 *		Early lock release: an append gives its locks back before its commit is flushed.
 *
 * It needs shared memory, so it exists only if shared_preload_libraries names the
 * library.  Without it these functions do nothing.
 */
#ifndef SIERRA_EARLY_RELEASE_H
#define SIERRA_EARLY_RELEASE_H

#include "port/atomics.h"

/* What the server shares about commits that are visible before they are flushed. */
typedef struct SierraEarlyRelease
{
	/* How many transactions are between the decision to commit so and the next member. */
	pg_atomic_uint32 committing;

	/* The end of the newest such commit, as XLogRecPtr; 0: there was none. */
	pg_atomic_uint64 newest;
} SierraEarlyRelease;

/* NULL if the library was not preloaded. */
extern SierraEarlyRelease *sierra_early_release;

/* Uses this shared memory; called once per process, "found" if another has initialised it. */
extern void sierra_early_release_attach(SierraEarlyRelease *memory, bool found);

/* This transaction has appended: if its session wants that, it commits with early release. */
extern void sierra_early_release_note(void);

/* After the locks have been released, flushes the commit.  Does nothing the second time. */
extern void sierra_early_release_finish(void);

/* Pushes a new snapshot, and makes what it sees safe to show: sierra_flush_seen(). */
extern void sierra_push_new_snapshot(void);

/* Used by sierra_flush_seen(). */
extern void sierra_flush_early_commits(void);

/*
 * Flushes what can have been seen of early releases.  Everything that reads for a user
 * calls it after it has taken its snapshot, or has looked with SnapshotSelf, and before
 * it shows anything: an event that was shown must not be lost in a crash.
 */
static inline void
sierra_flush_seen(void)
{
	if (sierra_early_release == NULL)
		return;

	/* In this order: a commit publishes its end, and then counts itself out. */
	if (pg_atomic_read_u32(&sierra_early_release->committing) != 0)
		sierra_flush_early_commits();
	else
	{
		pg_read_barrier();
		if (pg_atomic_read_u64(&sierra_early_release->newest) != 0)
			sierra_flush_early_commits();
	}
}

#endif /* SIERRA_EARLY_RELEASE_H */
