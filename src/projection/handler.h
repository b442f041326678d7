/*
 * handler.h
 *		Gives events to the handler of a projection, and keeps its states.
 */
#ifndef SIERRA_HANDLER_H
#define SIERRA_HANDLER_H

#include "projection/batch.h"

/*
 * Hands the events to the handler.  Entered, with an active snapshot.  Nobody
 * else writes states of this version: the caller holds the projection.
 */
extern void sierra_project(const SierraProjection *projection, const SierraBatch *batch);

/* The same for one event while others do so too: waits for who writes the same state. */
extern void sierra_project_shared(const SierraProjection *projection, const SierraBatch *batch);

#endif /* SIERRA_HANDLER_H */
