/*
 * aggregate.h
 *		Aggregates: the state of a stream, or of a query, folded from events.
 */
#ifndef SIERRA_AGGREGATE_H
#define SIERRA_AGGREGATE_H

#include "store/event_query.h"
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

/* A state that is folded from the events that a query matches, in the order of positions. */
typedef struct SierraQueryLoad
{
	text *aggregate;
	const SierraEventQuery *query;
	Oid event_type; /* sierra_event */
	bool bounded;	/* only events up to at_position */
	int64 at_position;
} SierraQueryLoad;

typedef struct SierraQueryLoaded
{
	Datum state; /* jsonb */
	bool isnull;
	int64 position; /* each matching event up to this position is in the state */

	/* Positions of the events above it that are in the state too; ascending. */
	int64 *seen;
	int seen_count;
} SierraQueryLoaded;

/*
 * Folds the events that a query matches, up to the horizon of the active snapshot.
 * With seen_too, folds all that the active snapshot sees: above the horizon, others that are
 * to come can be between them, so the result says which ones it has.  Snapshots
 * of states are not used.  The result is in the current memory context.  Errors as for
 * sierra_aggregate_load().
 */
extern void sierra_aggregate_load_query(const SierraStore *store, const SierraQueryLoad *load,
										bool seen_too, SierraQueryLoaded *loaded);

#endif /* SIERRA_AGGREGATE_H */
