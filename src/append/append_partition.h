/*
 * append_partition.h
 *		A partition that an append writes to: opens, reads and closes it.
 */
#ifndef SIERRA_APPEND_PARTITION_H
#define SIERRA_APPEND_PARTITION_H

#include "store/scan.h"
#include "store/table_shape.h"

typedef struct SierraAppendPartition
{
	int id;
	Relation rel;
	Relation indexes[SIERRA_INDEXES_MAX]; /* those of the shape, open; by SierraIndex */

	/* With all its indexes open; NULL if a row needs entries in those of the shape only. */
	struct ResultRelInfo *result;

	TupleTableSlot *slot;	/* for rows of the table, one at a time */
	SierraScan stream_scan; /* the scan of sierra_append_partition_probe_stream() */
	bool stream_scanning;	/* it is open */
	SierraScan id_scan;		/* that of sierra_append_partition_find_id() */
	bool id_scanning;		/* it is open */
	bool is_written;		/* calls append to it; otherwise it is only kept locked */
	bool is_announced;		/* its lock is in the mode to write */
	int pending;			/* its events that are to be written next */
	int64 sequence;			/* of the newest event, or SIERRA_NONE; filled by a probe */
	int64 position;			/* of the newest event, or SIERRA_NONE; filled by a probe */
} SierraAppendPartition;

/*
 * Opens a partition and its indexes to read and write them.  Does not take the partition
 * lock.  Raises SE005 if the partition has been dropped, detached or altered, or has lost
 * an index.
 */
extern void sierra_append_partition_open(const SierraStore *store, int id,
										 SierraAppendPartition *partition);
extern void sierra_append_partition_close(SierraAppendPartition *partition);

/*
 * Reads the version and the key of the newest event of a stream in this partition, whose
 * lock the caller holds; false if there is none.  Sets *not_serializable if the stream
 * has got events that the snapshot of the transaction (under REPEATABLE READ and
 * SERIALIZABLE) does not see.
 */
extern bool sierra_append_partition_probe_stream(SierraAppendPartition *partition,
												 const text *stream_id, int64 *version,
												 pg_uuid_t *key, bool *not_serializable);

/*
 * Under REPEATABLE READ and SERIALIZABLE: is the event in the slot, which SnapshotSelf sees,
 * one that another transaction has added since the snapshot of this one was taken?
 */
extern bool sierra_append_partition_is_after_snapshot(Relation rel, TupleTableSlot *event);

/*
 * Finds a stored event by its id; the caller holds the lock.  NULL if there is
 * none.  The slot keeps the row until the next call.
 */
extern TupleTableSlot *sierra_append_partition_find_id(SierraAppendPartition *partition,
													   const pg_uuid_t *event_id);

/* Ends the scans that these probes of the partition share, which releases all buffers. */
extern void sierra_append_partition_end_probes(SierraAppendPartition *partition);

/*
 * Fills sequence and position with those of the newest event; the caller holds the lock.
 * Its row stays in the slot, where sierra_append_partition_probe_stream() looks first.
 */
extern void sierra_append_partition_probe(SierraAppendPartition *partition);

#endif /* SIERRA_APPEND_PARTITION_H */
