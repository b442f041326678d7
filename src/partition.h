/*
 * partition.h
 *		The partition lock, and probes of a partition's newest rows.
 *
 * Who holds the lock of a partition is its only writer.  The lock is taken
 * after the partition and its indexes are open and lives until the
 * transaction (or the subtransaction, if that rolls back) ends.  So commits
 * reach a partition in the order of its numbers, and what anybody can see of
 * it is always a prefix.
 */
#ifndef SIERRA_PARTITION_H
#define SIERRA_PARTITION_H

#include "scan.h"

/* A partition opened for appends; the fields that probes fill come last. */
typedef struct SierraLeaf
{
	int partition;
	Relation rel;
	struct ResultRelInfo *result; /* with its indexes open */
	Relation sequence_index;
	Relation stream_index;
	Relation event_id_index;
	SierraScan stream_scan; /* by stream, while probing */
	bool stream_scanning;
	bool lock_is_new; /* taken by this call, so it may give it back */
	int64 sequence;	  /* of the newest event, or SIERRA_NONE */
	int64 position;	  /* of the newest event, or SIERRA_NONE */
} SierraLeaf;

/* Waits for the lock; true when the transaction did not hold it before. */
extern bool sierra_partition_lock(Oid leaf);

/* Gives back a lock that this call took and wrote nothing under. */
extern void sierra_partition_unlock(Oid leaf);

/* Does another transaction, prepared ones included, hold the lock? */
extern bool sierra_partition_locked_by_other(Oid leaf);

/*
 * Serialises what concerns a whole store rather than a partition: the repair
 * of its sequence of positions.  Held to the end of the transaction.
 */
extern void sierra_partition_lock_store(Oid global_position);

#endif /* SIERRA_PARTITION_H */
