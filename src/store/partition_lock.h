/*
 * partition_lock.h
 *		The partition lock.
 *
 * Who holds the lock of a partition is its only writer.  The lock is taken
 * after the partition and its indexes are open and lives until the
 * transaction (or the subtransaction, if that rolls back) ends.  So commits
 * reach a partition in the order of its numbers, and what anybody can see of
 * it is always a prefix.
 */
#ifndef SIERRA_PARTITION_LOCK_H
#define SIERRA_PARTITION_LOCK_H

#include "postgres_ext.h"
#include "storage/lockdefs.h"

/*
 * The modes of the lock, which conflict with themselves and with each other.
 * KEEP_OUT is for who will not write to the partition, but must know that
 * nobody creates a stream there meanwhile; it does not hold back readers.
 */
#define SIERRA_LOCK_WRITE ExclusiveLock
#define SIERRA_LOCK_KEEP_OUT ShareRowExclusiveLock

/*
 * Waits for the lock; true when the transaction did not hold it before.  (The
 * repair of a store's sequence locks that in the same way.)
 */
extern bool sierra_partition_lock(Oid leaf, LOCKMODE mode);

/* Gives back a lock that this call took and wrote nothing under. */
extern void sierra_partition_unlock(Oid leaf, LOCKMODE mode);

/* Does another transaction, prepared ones included, hold the lock to write? */
extern bool sierra_partition_written_by_other(Oid leaf);

#endif /* SIERRA_PARTITION_LOCK_H */
