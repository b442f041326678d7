/*
 * row_security.h
 *		Reads for users to which row-level security of the events table applies.
 *
 * The read functions find events without checking policies.  The sink of this file
 * reads them again through the events table, as the user, to find out which of them
 * the user may see.
 */
#ifndef SIERRA_ROW_SECURITY_H
#define SIERRA_ROW_SECURITY_H

#include "read/sink.h"
#include "store/store.h"

/* Takes an event that the user may see, in the order of sierra_event; false: needs no more. */
typedef bool (*SierraRowCallback)(void *arg, Datum *values, bool *nulls);

/*
 * Makes a sink that passes on, in order, the events that the user may see.
 * expected_rows is an estimate, for the size of the first batch.
 */
extern SierraSink *sierra_row_security_sink(const SierraStore *store, SierraRowCallback callback,
											void *arg, int64 expected_rows);

/* Puts an event into the sink by its numbers; false if no more events are wanted. */
extern bool sierra_row_security_put(SierraSink *sink, int32 partition, int64 sequence);

/* Passes on the events of the last batch; put must not be called after it. */
extern void sierra_row_security_finish(SierraSink *sink);

/* The highest stream version, or partition sequence, that the user may see; false if none. */
extern bool sierra_row_security_stream_version(const SierraStore *store, const text *stream_id,
											   int64 *version);
extern bool sierra_row_security_sequence(const SierraStore *store, int partition, int64 *sequence);

/* How many events of a partition, from this sequence on, the user may see. */
extern int64 sierra_row_security_count(const SierraStore *store, int partition,
									   int64 from_sequence);

#endif /* SIERRA_ROW_SECURITY_H */
