/*
 * aggregate.h
 *		Aggregates: the state of a stream, folded from its events.
 */
#ifndef SIERRA_AGGREGATE_H
#define SIERRA_AGGREGATE_H

#include "store/store.h"

#include "utils/timestamp.h"

typedef struct SierraLoad
{
	text *aggregate;
	text *stream_id;
	Oid event_type;	   /* sierra_event */
	int64 at_version;  /* PG_INT64_MAX: the newest */
	TimestampTz until; /* fold events before the first that is later; DT_NOEND: all */
} SierraLoad;

typedef struct SierraLoaded
{
	Datum state; /* jsonb */
	bool isnull;
	int64 version; /* of the last event in the state, or SIERRA_NONE */
} SierraLoaded;

/*
 * Folds the events of a stream that the active snapshot sees, from the newest
 * stored snapshot that fits.  Stores a new snapshot if snapshot_every events or
 * more were folded.  The result is in the current memory context.  Raises 42704
 * for an unknown aggregate, 42883, 42P13 or 42501 if its fold cannot be called.
 */
extern void sierra_aggregate_load(const SierraStore *store, const SierraLoad *load,
								  SierraLoaded *loaded);

#endif /* SIERRA_AGGREGATE_H */
