/*
 * handler.h
 *		Gives events to the handler of a projection, and keeps its states.
 */
#ifndef SIERRA_HANDLER_H
#define SIERRA_HANDLER_H

#include "projection/batch.h"

/*
 * Calls the handler with the events and saves the states.  Called between
 * sierra_projection_enter() and sierra_projection_leave(), with an active
 * snapshot.  The caller has locked the projection (SIERRA_PROJECTION_LOCKED),
 * so nobody else writes states of this version.
 */
extern void sierra_project(const SierraProjection *projection, const SierraBatch *batch);

/*
 * The same for a batch of one event, while other transactions do so too.  Waits
 * for transactions that write the same state.
 */
extern void sierra_project_shared(const SierraProjection *projection, const SierraBatch *batch);

#endif /* SIERRA_HANDLER_H */
