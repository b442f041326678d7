/*
 * doorbell.h
 *		The doorbell: commits of appends ring it, and who waits for events hears it.
 *
 * Lives in shared memory, so only when shared_preload_libraries names the
 * library.  Everything works without it: who waits looks again by himself.
 */
#ifndef SIERRA_DOORBELL_H
#define SIERRA_DOORBELL_H

#include "store/store.h"
#include "wakeup/shared.h"

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

/* Calls the launcher if the database has no worker, and the launcher wants to know. */
extern void sierra_doorbell_want_notifier(SierraDatabaseSlot *slot);

/* The next ring wakes the worker, for somebody waits. */
extern void sierra_doorbell_want_wakeup(SierraDatabaseSlot *slot);

/* Wakes the worker, if there is one, without counting a ring. */
extern void sierra_doorbell_wake_notifier(SierraDatabaseSlot *slot);

/* Puts what is in the second among the first. */
extern void sierra_doorbell_add_rings(SierraRings *rings, const SierraRings *more);

/* Wakes the launcher, so that it looks after workers that are wanted. */
extern void sierra_doorbell_call_launcher(void);

#endif /* SIERRA_DOORBELL_H */
