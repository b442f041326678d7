/*
 * stream_list.h
 *		Lists streams, and names of events, without reading every event.
 */
#ifndef SIERRA_STREAM_LIST_H
#define SIERRA_STREAM_LIST_H

#include "store/event.h"
#include "store/store.h"

/* What is listed of a stream; the texts last until the callback returns. */
typedef struct SierraListedStream
{
	const text *stream_id;
	const text *last_event_name;
	int partition;
	int64 last_version; /* versions have no gaps, so it also gives the number of events */
	int64 last_position;
	TimestampTz first_at;
	TimestampTz last_at;
} SierraListedStream;

typedef void (*SierraListStream)(void *arg, const SierraListedStream *stream);

/*
 * Calls back for the streams that begin with the prefix and come after another name
 * (NULL: from the first one), in the order of their bytes.  Costs three index searches
 * for each, and one for each partition.
 */
extern void sierra_list_streams(const SierraStore *store, const text *prefix, const text *after,
								int64 max_count, SierraListStream callback, void *arg);

/*
 * Calls back for the streams that begin with the prefix and have one of the newest
 * max_events events of the store, those with the newest events first.  Reads these events,
 * and one more for each stream.  Errors as for sierra_read_all().
 */
extern void sierra_list_newest_streams(const SierraStore *store, const text *prefix,
									   int64 max_count, int64 max_events, SierraListStream callback,
									   void *arg);

/* What is listed of a name of events. */
typedef struct SierraListedName
{
	const text *event_name;
	int64 events;
	int64 last_position;
	TimestampTz first_at;
	TimestampTz last_at;
} SierraListedName;

typedef void (*SierraListName)(void *arg, const SierraListedName *name);

/*
 * Calls back for the names of the newest max_events events, the name of the newest event
 * first.  Errors as for sierra_read_all().
 */
extern void sierra_list_event_names(const SierraStore *store, int64 max_events,
									SierraListName callback, void *arg);

#endif /* SIERRA_STREAM_LIST_H */
