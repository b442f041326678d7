/*
 * locate.h
 *		Finds events by their global position.
 */
#ifndef SIERRA_LOCATE_H
#define SIERRA_LOCATE_H

#include "read/sink.h"
#include "store/store.h"

/*
 * Puts the event at this position into the sink, if the active snapshot sees
 * it.  There is no index on positions, so this looks into every partition.
 * Works on a standby.
 */
extern bool sierra_locate(const SierraStore *store, int64 position, SierraSink *sink);

/* The sequence of the first event of a partition above a position, or SIERRA_NONE. */
extern int64 sierra_locate_first_after(const SierraStore *store, int partition, int64 position);

/* How many events of a partition, that the active snapshot sees, are above a position. */
extern int64 sierra_locate_count_after(const SierraStore *store, int partition, int64 position);

#endif /* SIERRA_LOCATE_H */
