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
	TimestampTz until; /* events up to the first that is later; DT_NOEND: all */
} SierraLoad;

typedef struct SierraLoaded
{
	Datum state; /* jsonb */
	bool isnull;
	int64 version; /* of the last event in the state, or SIERRA_NONE */
} SierraLoaded;

/*
 * Folds a stream from the newest snapshot that fits, as the active snapshot sees
 * it, and takes a snapshot of its own when many events came after that.  The
 * result is in the current context.  Raises 42704 for an unknown aggregate.
 */
extern void sierra_aggregate_load(const SierraStore *store, const SierraLoad *load,
								  SierraLoaded *loaded);

#endif /* SIERRA_AGGREGATE_H */
