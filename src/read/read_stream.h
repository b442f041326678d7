/*
 * read_stream.h
 *		The read engine: one stream, one partition, one event.
 *
 * Reads see what the active snapshot sees.  The caller checked the SELECT
 * right; row security is the sink's business.
 */
#ifndef SIERRA_READ_STREAM_H
#define SIERRA_READ_STREAM_H

#include "utils/uuid.h"

#include "read/sink.h"
#include "store/store.h"

/* Numbers from..to, both included, ascending or, with backward, descending. */
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
