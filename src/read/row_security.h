/*
 * row_security.h
 *		Reads for users whom row-level security of the events table holds for.
 *
 * The engine finds events by their numbers; which of them the user may see is
 * decided by reading these again through the events table, as the user.
 */
#ifndef SIERRA_ROW_SECURITY_H
#define SIERRA_ROW_SECURITY_H

#include "read/sink.h"
#include "store/store.h"

/* Takes a visible event as values in the column order of sierra_event. */
typedef bool (*SierraRowCallback)(void *arg, Datum *values, bool *nulls);

/* A sink that passes on, in order, the events that the user may see. */
extern SierraSink *sierra_row_security_sink(const SierraStore *store, SierraRowCallback callback,
											void *arg, int64 expected_rows);

/* Passes on what is still held back; no more calls of put after it. */
extern void sierra_row_security_finish(SierraSink *sink);

/* The greatest stream version or partition sequence that the user may see. */
extern bool sierra_row_security_stream_version(const SierraStore *store, const text *stream_id,
											   int64 *version);
extern bool sierra_row_security_sequence(const SierraStore *store, int partition, int64 *sequence);

#endif /* SIERRA_ROW_SECURITY_H */
