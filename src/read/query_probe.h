/*
 * query_probe.h
 *		The first event that a query matches, for the condition of an append.
 */
#ifndef SIERRA_QUERY_PROBE_H
#define SIERRA_QUERY_PROBE_H

#include "utils/uuid.h"

#include "store/event_query.h"
#include "store/store.h"

/* What is said about an event that was found; the texts are palloc'd. */
typedef struct SierraFoundEvent
{
	int64 position;
	int32 partition;
	int64 sequence;
	int64 stream_version;
	pg_uuid_t event_id;
	text *stream_id;
	text *event_name;
} SierraFoundEvent;

/*
 * Finds the event with the lowest position above this one (SIERRA_NONE: of all) that the
 * query matches, except those at the positions seen, which ascend; false if there is none.  It sees
 * what is committed by now, what this transaction has written, also by the same command, and does
 * not stop at the horizon.  So the answer stays true only while the caller holds locks that exclude
 * writers of events which the query matches.  The events are those of the store, whoever may see
 * them.
 *
 * If an item of the query does not have tags, all events above the position are read.
 */
extern bool sierra_query_find_first(const SierraStore *store, const SierraEventQuery *query,
									int64 after, const int64 *seen, int seen_count,
									SierraFoundEvent *found);

#endif /* SIERRA_QUERY_PROBE_H */
