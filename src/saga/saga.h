/*
 * saga.h
 *		Runs sagas as the owner of their definition.
 */
#ifndef SIERRA_SAGA_H
#define SIERRA_SAGA_H

#include "store/store.h"

#include "utils/jsonb.h"

/*
 * How long a step waits for a lock, in milliseconds, if it is not the first
 * step of its transaction.  The steps before it hold locks for which others may
 * wait, and to give up early is cheaper than a deadlock.
 */
#define SIERRA_SAGA_LOCK_TIMEOUT 100

typedef struct SierraSagaCall
{
	const char *procedure; /* with schema, as in the definition */
	Jsonb *data;
	text *saga_id;
	const char *search_path;
	const char
		*metadata; /* sierra_es.metadata during the call, for events that the action appends */
} SierraSagaCall;

/*
 * Takes an instance one step further, as the owner of its definition.  advance
 * is the function advance_saga().  Unless patient, waits at most
 * SIERRA_SAGA_LOCK_TIMEOUT for each lock.  Returns false if there was nothing
 * to do, if an action of this instance is the caller, or if "owner" is not InvalidOid and
 * the definition belongs to another role.  Raises 42704 if there is no such instance,
 * 42501 if the caller has not the right UPDATE on saga_instances.  Locks the row of the
 * instance until the transaction ends.
 */
extern bool sierra_saga_run(SierraStore *store, text *saga_id, bool patient, Oid owner,
							Oid advance);

/*
 * Calls an action or compensation as the current user.  Returns the object that
 * it returned, or NULL for null and void.  Raises 42883, 42P13 or 42501 if it
 * cannot be called, and 22023 if the result is not a JSON object.
 */
extern Jsonb *sierra_saga_call(const SierraSagaCall *saga_call);

#endif /* SIERRA_SAGA_H */
