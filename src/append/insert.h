/*
 * insert.h
 *		Writes numbered events.
 */
#ifndef SIERRA_INSERT_H
#define SIERRA_INSERT_H

#include "nodes/execnodes.h"

#include "append/append_partition.h"
#include "store/event.h"

/* What an append gave an event. */
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
 * Writes count events, numbered in this order, into a partition whose lock the
 * transaction holds.  Honours row security and whatever else the user put on
 * the events table.  AFTER ROW triggers are queued: the caller brackets it with
 * AfterTriggerBeginQuery() and AfterTriggerEndQuery().  *guard_passed begins as
 * false and is kept from one call to the next within that bracket.
 */
extern void sierra_insert_events(const SierraStore *store, SierraAppendPartition *partition,
								 EState *estate, const SierraNewEvent *const *events,
								 SierraAppendResult *const *results, int count, bool *guard_passed);

#endif /* SIERRA_INSERT_H */
