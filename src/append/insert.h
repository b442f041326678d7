/*
 * insert.h
 *		Writes numbered events and rows of the companion tables.
 */
#ifndef SIERRA_INSERT_H
#define SIERRA_INSERT_H

#include "nodes/execnodes.h"

#include "store/event.h"
#include "store/partition_lock.h"

/* What an append gave an event. */
typedef struct SierraAppended
{
	int partition_id;
	int64 partition_sequence;
	int64 stream_version;
	int64 global_position;
	TimestampTz timestamp;
	pg_uuid_t event_id;
	pg_uuid_t partition_key;
	pg_uuid_t transaction_id;
} SierraAppended;

/* Opens a partition and its indexes for probing and writing. */
extern void sierra_insert_open_leaf(const SierraStore *store, int partition, SierraLeaf *leaf);
extern void sierra_insert_close_leaf(SierraLeaf *leaf);

/*
 * Writes count events, numbered in this order, into a partition whose lock the
 * transaction holds.  Honours row security and whatever else the user put on
 * the events table.  AFTER ROW triggers are queued: the caller brackets it with
 * AfterTriggerBeginQuery() and AfterTriggerEndQuery().  *guard_passed begins as
 * false and is kept from one call to the next within that bracket.
 */
extern void sierra_insert_events(const SierraStore *store, SierraLeaf *leaf, EState *estate,
								 const SierraNewEvent *const *events,
								 SierraAppended *const *numbers, int count, bool *guard_passed);

/* Writes one row of a companion table; returns when its index entries stand. */
extern void sierra_insert_companion(Oid relation, EState *estate, Datum *values);

/*
 * True once after the engine announced an INSERT of its own into this table,
 * one that has to go through the executor and so through the guard trigger.
 */
extern bool sierra_insert_take_permit(Oid relation);

#endif /* SIERRA_INSERT_H */
