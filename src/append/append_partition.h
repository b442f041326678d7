/*
 * append_partition.h
 *		A partition that an append writes to: opened, probed, closed.
 */
#ifndef SIERRA_APPEND_PARTITION_H
#define SIERRA_APPEND_PARTITION_H

#include "store/scan.h"

/* The fields that probes fill come last. */
typedef struct SierraAppendPartition
{
	int id;
	Relation rel;
	struct ResultRelInfo *result; /* with its indexes open */
	Relation sequence_index;
	Relation stream_index;
	Relation event_id_index;
	SierraScan stream_scan; /* by stream, while probing */
	bool stream_scanning;
	LOCKMODE lock;
	bool lock_is_new; /* taken by this call, so it may give it back */
	int64 sequence;	  /* of the newest event, or SIERRA_NONE */
	int64 position;	  /* of the newest event, or SIERRA_NONE */
} SierraAppendPartition;

/* Opens a partition and its indexes for probing and writing; takes no partition lock. */
extern void sierra_append_partition_open(const SierraStore *store, int id,
										 SierraAppendPartition *partition);
extern void sierra_append_partition_close(SierraAppendPartition *partition);

/*
 * Under the partition lock: reads version and key of the newest event of a
 * stream in this partition; false if there is none.  *not_serializable: the
 * stream has grown since the snapshot that the transaction keeps.
 */
extern bool sierra_append_partition_probe_stream(SierraAppendPartition *partition,
												 const text *stream_id, int64 *version,
												 pg_uuid_t *key, bool *not_serializable);

/* Ends the scan that these probes share, and with it its pins. */
extern void sierra_append_partition_end_probes(SierraAppendPartition *partition);

/* Under the partition lock: fills sequence and position with those of the newest event. */
extern void sierra_append_partition_probe(SierraAppendPartition *partition);

#endif /* SIERRA_APPEND_PARTITION_H */
