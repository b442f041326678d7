/*
 * locate.h
 *		Finds events by their global position.
 */
#ifndef SIERRA_LOCATE_H
#define SIERRA_LOCATE_H

#include "read/partition_cursor.h"
#include "read/sink.h"
#include "store/store.h"

/*
 * Puts the event at this position into the sink; false if the active snapshot does
 * not see one.  Positions do not have an index, so this looks into the partitions one
 * by one.  Works on a standby.
 */
extern bool sierra_locate(const SierraStore *store, int64 position, SierraSink *sink);

/*
 * The sequence of the first event of a partition that is above a position and that
 * the active snapshot sees, or SIERRA_NONE.
 */
extern int64 sierra_locate_first_after(const SierraStore *store, int partition, int64 position);

/* How many events of a partition that the active snapshot sees are above a position. */
extern int64 sierra_locate_count_after(const SierraStore *store, int partition, int64 position);

/* The same for several positions: it looks for the newest event only once. */
extern void sierra_locate_begin(const SierraStore *store, int partition, SierraSource *source);
extern int64 sierra_locate_count(SierraSource *source, int64 position);
extern void sierra_locate_end(const SierraStore *store, SierraSource *source);

#endif /* SIERRA_LOCATE_H */
