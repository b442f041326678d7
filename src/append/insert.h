/*
 * insert.h
 *		Writes events that have their numbers already.
 */
#ifndef SIERRA_INSERT_H
#define SIERRA_INSERT_H

#include "nodes/execnodes.h"

#include "append/append_partition.h"
#include "store/event.h"

/* The numbers, ids and time that an append gave to an event. */
typedef struct SierraAppendResult
{
	int partition_id;
	int64 partition_sequence;
	int64 stream_version;
	int64 global_position;
	TimestampTz timestamp;
	pg_uuid_t event_id;
	pg_uuid_t partition_key;
	pg_uuid_t transaction_id;
} SierraAppendResult;

/*
 * Writes count events, whose sequences ascend in this order, into a partition whose
 * lock the transaction holds.  Row-level security, constraints, triggers and additional
 * columns of the events table apply.  AFTER ROW triggers are queued, so the caller calls
 * AfterTriggerBeginQuery() before and AfterTriggerEndQuery() after it.  Between these
 * two there may be several calls; *guard_passed is false before the first of them and
 * must be passed to all.
 */
extern void sierra_insert_events(const SierraStore *store, SierraAppendPartition *partition,
								 EState *estate, const SierraNewEvent *const *events,
								 SierraAppendResult *const *results, int count, bool *guard_passed);

#endif /* SIERRA_INSERT_H */
