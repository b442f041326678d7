/*
 * query_projection.h
 *		States of projections with all events that can be seen, handled or not.
 */
#ifndef SIERRA_QUERY_PROJECTION_H
#define SIERRA_QUERY_PROJECTION_H

#include "projection/projection.h"

/*
 * The state of a key as it will be once the events that the active snapshot
 * sees are handled, own ones of this transaction included.  Writes nothing; works
 * on a standby.  The state stored and events are read as the caller.
 */
extern Datum sierra_read_projection(SierraProjection *projection, text *key, Oid event_type,
									bool *isnull);

#endif /* SIERRA_QUERY_PROJECTION_H */
