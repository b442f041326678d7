/*
 * look_lock.h
 *		Locks of a runner that looks at a store: it takes only those that are free.
 */
#ifndef SIERRA_LOOK_LOCK_H
#define SIERRA_LOOK_LOCK_H

#include "store/store.h"

/*
 * These lock, for reading, what a look at a store opens, until the end of the
 * (sub)transaction.  They never wait: they return false if one of the locks is not free.
 * What does not exist is not locked.
 */

/* What it takes to open the store: its tables of events and their companions. */
extern bool sierra_look_lock_store(Oid schema);

/* The partitions and the indexes that are read for the newest events. */
extern bool sierra_look_lock_partitions(const SierraStore *store);

/* The tables that say what there is to run, with their indexes. */
extern bool sierra_look_lock_jobs(Oid schema);

#endif /* SIERRA_LOOK_LOCK_H */
