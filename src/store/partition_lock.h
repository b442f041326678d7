/*
 * partition_lock.h
 *		The partition lock: only the transaction that holds it writes to a partition.
 *
 * The lock is taken after the partition and its indexes have been opened.  It is
 * held until the transaction ends, or until the subtransaction rolls back that took
 * it.  So the events of a partition become visible in the order of their sequences:
 * each snapshot sees all events up to some sequence, and none after it.
 *
 * An append takes the lock in mode KEEP_OUT, which may have to wait, and decides.  Then
 * it takes mode WRITE too, which does not wait, and only after that takes positions.
 */
#ifndef SIERRA_PARTITION_LOCK_H
#define SIERRA_PARTITION_LOCK_H

#include "postgres_ext.h"
#include "storage/lock.h"

/*
 * The modes of the lock.  Each conflicts with itself and with the other one.
 * KEEP_OUT is for a transaction that does not write to the partition yet, or that only
 * has to make sure that no other creates a stream there.  Unlike WRITE, it does not hold
 * back readers of the whole store.
 */
#define SIERRA_LOCK_WRITE ExclusiveLock
#define SIERRA_LOCK_KEEP_OUT ShareRowExclusiveLock

/*
 * Waits for the lock.  A transaction can take it several times, and holds it until each is
 * released.  relation is a partition (or the sequence of positions, while that is corrected).
 */
extern void sierra_partition_lock(Oid relation, LOCKMODE mode);

/*
 * Releases a lock once: before anything was written under it, or because the transaction
 * holds it in the other mode too.
 */
extern void sierra_partition_unlock(Oid relation, LOCKMODE mode);

/*
 * Does another transaction, which may be a prepared one, hold the lock in mode WRITE?
 * Then *writer is this transaction.
 */
extern bool sierra_partition_written_by_other(Oid relation, VirtualTransactionId *writer);

#endif /* SIERRA_PARTITION_LOCK_H */
