/*
 * query_projection.h
 *		States of projections with all events that can be seen, handled or not.
 */
#ifndef SIERRA_QUERY_PROJECTION_H
#define SIERRA_QUERY_PROJECTION_H

#include "projection/projection.h"

/*
 * The state of a key as it will be once all events that the active snapshot
 * sees are handled, including events of this transaction.  Writes nothing, so
 * it works on a standby.  The stored state and the events are read with the
 * caller's rights.  Raises 42809 for a process manager, and for a projection
 * that keeps no states.
 */
extern Datum sierra_read_projection(SierraProjection *projection, text *key, Oid event_type,
									bool *isnull);

#endif /* SIERRA_QUERY_PROJECTION_H */
