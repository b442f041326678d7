/*
 * doorbell.h
 *		The doorbell: commits of appends ring it, which wakes sessions that wait for
 *		events.
 *
 * It needs shared memory, so it exists only if shared_preload_libraries names the
 * library.  Without it these functions do nothing, and sessions that wait look for
 * events again and again.  Functions with an argument slot need shared memory.
 */
#ifndef SIERRA_DOORBELL_H
#define SIERRA_DOORBELL_H

#include "store/store.h"
#include "wakeup/shared.h"

/*
 * This transaction is about to write to partitions, which holds back readers of the
 * whole store.  The doorbell rings when the transaction ends, also if it aborts.
 */
extern void sierra_doorbell_note_locks(const SierraStore *store);

/* This transaction wrote events up to position: the doorbell rings at its commit. */
extern void sierra_doorbell_note_append(const SierraStore *store, int64 position);

/* This transaction made a job for runners: the doorbell rings at its commit. */
extern void sierra_doorbell_note_job(const SierraStore *store);

/*
 * This transaction moved the cursor of a consumer forward: the doorbell rings at its
 * commit if a session waits for consumers.
 */
extern void sierra_doorbell_note_progress(void);

/*
 * Called before and after a session waits for a consumer.  If a session dies in
 * between, the count of such sessions stays too high; then commits ring the doorbell
 * without need.
 */
extern void sierra_doorbell_begin_await(void);
extern void sierra_doorbell_end_await(void);

/* This database needs a runner now: calls the launcher.  Not for a database that has one. */
extern void sierra_doorbell_want_runner(SierraDatabaseSlot *slot);

/*
 * Something in this database may have changed that rang nothing: wakes those that wait,
 * and lets a runner look at all stores.
 */
extern void sierra_doorbell_ring_all(SierraDatabaseSlot *slot);

/*
 * Sleeps unless the doorbell has rung more often than "seen": until it rings, at most
 * for this time in milliseconds.  Returns earlier if the latch of this process is set
 * for another reason and "by_latch" is true, and shortly after a wake-up: then it does
 * not listen, so that many commits cost those that ring only one wake-up.
 */
extern void sierra_doorbell_sleep(SierraDatabaseSlot *slot, uint64 seen, long timeout,
								  bool by_latch, uint32 wait_event);

/* Adds the stores of more to rings. */
extern void sierra_doorbell_add_rings(SierraRings *rings, const SierraRings *more);

/* Wakes the launcher, so that it looks which runners to start. */
extern void sierra_doorbell_call_launcher(void);

#endif /* SIERRA_DOORBELL_H */
