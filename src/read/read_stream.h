/*
 * read_stream.h
 *		Reads one stream, one partition or one event.
 *
 * Reads see what the active snapshot sees.  The caller has checked the right to
 * SELECT; row-level security is applied by the sink.
 */
#ifndef SIERRA_READ_STREAM_H
#define SIERRA_READ_STREAM_H

#include "utils/uuid.h"

#include "read/sink.h"
#include "store/store.h"

/* Versions or sequences from..to, both included; ascending, or descending if backward. */
typedef struct SierraRange
{
	int64 from;
	int64 to; /* PG_INT64_MAX: no end */
	bool backward;
} SierraRange;

extern void sierra_read_stream(const SierraStore *store, const text *stream_id, SierraRange range,
							   SierraSink *sink);
extern void sierra_read_partition(const SierraStore *store, int partition, SierraRange range,
								  SierraSink *sink);
extern void sierra_read_event(const SierraStore *store, const pg_uuid_t *event_id,
							  SierraSink *sink);

#endif /* SIERRA_READ_STREAM_H */
