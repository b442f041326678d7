/*
 * partition_lock.c
 *		The partition lock: only the transaction that holds it writes to a partition.
 *
 * It is a heavyweight lock.  So waiting for it can be cancelled and obeys
 * lock_timeout, deadlocks are detected, PREPARE TRANSACTION keeps it, and pg_locks
 * shows it (locktype advisory, objsubid 1509).  It cannot conflict with the locks of
 * pg_advisory_lock(), because those are of class 1 and 2.
 */
#include "postgres.h"

#include "store/partition_lock.h"

#include "miscadmin.h"

/* The class ("objsubid") of our advisory locks; Citus uses 4 to 16. */
#define PARTITION_LOCK_CLASS 0x5E5

static void
set_lock_tag(LOCKTAG *tag, Oid relation)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, relation, 0, PARTITION_LOCK_CLASS);
}

void
sierra_partition_lock(Oid relation, LOCKMODE mode)
{
	LOCKTAG tag;

	set_lock_tag(&tag, relation);
	(void) LockAcquire(&tag, mode, false, false);
}

void
sierra_partition_unlock(Oid relation, LOCKMODE mode)
{
	LOCKTAG tag;

	set_lock_tag(&tag, relation);
	LockRelease(&tag, mode, false);
}

/* RowShareLock conflicts with SIERRA_LOCK_WRITE, but not with SIERRA_LOCK_KEEP_OUT. */
bool
sierra_partition_written_by_other(Oid relation, VirtualTransactionId *writer)
{
	LOCKTAG tag;
	VirtualTransactionId *holders;
	int count;

	set_lock_tag(&tag, relation);
	holders = GetLockConflicts(&tag, RowShareLock, &count);
	if (count > 0)
		*writer = holders[0];
	pfree(holders);
	return count > 0;
}
