/*
 * insert.h
 *		Writes events that have their numbers already.
 */
#ifndef SIERRA_INSERT_H
#define SIERRA_INSERT_H

#include "nodes/execnodes.h"

#include "append/route.h"

/* The events of a call, and what is needed to write them. */
typedef struct SierraInsert
{
	const SierraStore *store;
	EState *estate;
	const SierraNewEvent *events;
	const SierraAppendResult *results; /* of the events, with their numbers */
	text *session_metadata;			   /* sierra_metadata_of_session() */
	bool guard_passed;				   /* false before the first call of sierra_insert_events() */
	TupleTableSlot **slots;			   /* for rows of any partition; NULL before the first call */
	int nslots;
} SierraInsert;

/*
 * Writes count events into a partition whose lock the transaction holds.  which has
 * their indexes in events and results; their sequences ascend in this order.  Row-level
 * security, constraints, triggers and additional columns of the events table apply.
 * AFTER ROW triggers are queued, so the caller calls AfterTriggerBeginQuery() before and
 * AfterTriggerEndQuery() after it.  Between these two there may be several calls.
 */
extern void sierra_insert_events(SierraInsert *insert, SierraAppendPartition *partition,
								 const int *which, int count);

/* Releases what the calls of sierra_insert_events() shared; before the partitions are closed. */
extern void sierra_insert_end(SierraInsert *insert);

#endif /* SIERRA_INSERT_H */
