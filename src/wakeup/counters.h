/*
 * counters.h
 *		Counts what appends do, by store, since the server has started.
 *
 * The counters are in shared memory, so without shared_preload_libraries nothing is counted.
 * As many stores as sierra_es.max_databases have counters.  No row is written.
 */
#ifndef SIERRA_COUNTERS_H
#define SIERRA_COUNTERS_H

#include "store/store.h"
#include "wakeup/shared.h"

/*
 * This transaction has appended, in this number of calls, events of this number of bytes.  They
 * are counted when the transaction has committed or was prepared; if it, or the subtransaction,
 * rolls back, the calls count as rolled back.
 */
extern void sierra_counters_note_appends(const SierraStore *store, int64 appends, int64 events,
										 int64 bytes);

/* Counts one at once, whatever becomes of the transaction. */
extern void sierra_counters_count(const SierraStore *store, SierraCounter counter);

/*
 * At the end of a transaction: adds what it noted.  Uses nothing but shared memory, and
 * raises no error.
 */
extern void sierra_counters_end(bool committed);

/* Copies the counters of a store of this database; false if it has none. */
extern bool sierra_counters_copy(Oid schema, uint64 *values);

/* Frees the counters of stores of this database that were dropped; needs shared memory. */
extern void sierra_counters_free_dropped(void);

/* The database is gone.  Takes sierra_shared->lock; needs shared memory. */
extern void sierra_counters_forget(Oid database);

#endif /* SIERRA_COUNTERS_H */
