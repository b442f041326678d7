/*
 * read_all.h
 *		Reads the whole store in the order of global positions.
 */
#ifndef SIERRA_READ_ALL_H
#define SIERRA_READ_ALL_H

#include "read/read_request.h"
#include "read/sink.h"

/*
 * Puts the events into the sink, up to the horizon (see horizon.h), so that no event
 * is skipped.  Returns a position: all requested events up to it are in the sink
 * (backward: the position where it stopped).  Errors as for sierra_horizon().
 */
extern int64 sierra_read_all(const SierraStore *store, const SierraReadAll *request,
							 SierraSink *sink);

/* The horizon of all partitions for the active snapshot. */
extern int64 sierra_read_horizon(const SierraStore *store);

#endif /* SIERRA_READ_ALL_H */
