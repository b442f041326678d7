/*
 * saga.h
 *		Runs sagas as the owner of their definition.
 */
#ifndef SIERRA_SAGA_H
#define SIERRA_SAGA_H

#include "store/store.h"

#include "utils/jsonb.h"

/*
 * How long (ms) a step waits for a lock that is not the first of its
 * transaction.  That one has locks of its own, for which somebody may wait: to
 * end early is cheaper than a deadlock.
 */
#define SIERRA_SAGA_LOCK_TIMEOUT 100

typedef struct SierraSagaCall
{
	const char *procedure; /* qualified, as a definition has it */
	Jsonb *data;
	text *saga_id;
	const char *search_path;
	const char *metadata; /* for events that the action appends */
} SierraSagaCall;

/*
 * Takes an instance one step further, as the owner of its definition; advance
 * is the function advance_saga().  False if nothing was to be done; 42704
 * without such a row.  The caller needs UPDATE on saga_instances.
 */
extern bool sierra_saga_run(SierraStore *store, text *saga_id, bool patient, Oid advance);

/* Calls an action as the current user; what it returned, NULL if nothing. */
extern Jsonb *sierra_saga_call(const SierraSagaCall *saga_call);

#endif /* SIERRA_SAGA_H */
