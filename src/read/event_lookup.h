/*
 * event_lookup.h
 *		Finds many events by partition and sequence.
 */
#ifndef SIERRA_EVENT_LOOKUP_H
#define SIERRA_EVENT_LOOKUP_H

#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "read/horizon.h"
#include "store/sequence_search.h"

typedef struct SierraEventLookup
{
	const SierraStore *store;
	SierraReadPartition *partitions; /* by partition id; rel is NULL: not open yet */
	Snapshot snapshot;
	TupleTableSlot *found;			/* the slot of the last event that was found, or NULL */
	SierraSequenceSearch *searches; /* by partition id; those with rel have begun */
} SierraEventLookup;

/*
 * Begins to find events of partitions that the caller has opened.  One that is not open is
 * opened when an event of it is looked for; the caller has called sierra_store_lock(), and
 * closes it too.
 */
extern void sierra_event_lookup_begin(SierraEventLookup *lookup, const SierraStore *store,
									  SierraReadPartition *partitions, Snapshot snapshot);

/*
 * The slot with the event, until the next event is looked for.  NULL if
 * the snapshot does not see it, also if the store has no such partition.
 */
extern TupleTableSlot *sierra_event_lookup_find(SierraEventLookup *lookup, int32 partition,
												int64 sequence);

extern void sierra_event_lookup_end(SierraEventLookup *lookup);

#endif /* SIERRA_EVENT_LOOKUP_H */
