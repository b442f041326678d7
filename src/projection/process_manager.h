/*
 * process_manager.h
 *		Process managers: handlers that react to events, and remember by key.
 */
#ifndef SIERRA_PROCESS_MANAGER_H
#define SIERRA_PROCESS_MANAGER_H

#include "projection/batch.h"

/*
 * Calls the handler of a process manager for each event, in their order, and
 * saves the states.  Events that it appends get correlation_id and
 * causation_id.  Called between sierra_projection_enter() and
 * sierra_projection_leave(), with an active snapshot.
 */
extern void sierra_manage(const SierraProjection *projection, const SierraBatch *batch);

#endif /* SIERRA_PROCESS_MANAGER_H */
