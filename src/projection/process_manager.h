/*
 * process_manager.h
 *		Process managers: handlers that react to events, and remember by key.
 */
#ifndef SIERRA_PROCESS_MANAGER_H
#define SIERRA_PROCESS_MANAGER_H

#include "projection/batch.h"

/*
 * Hands the events to the handler of a process manager, in their order.  What it
 * appends gets correlation_id and causation_id.  Entered, with an active snapshot.
 */
extern void sierra_manage(const SierraProjection *projection, const SierraBatch *batch);

#endif /* SIERRA_PROCESS_MANAGER_H */
