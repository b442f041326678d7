/*
 * saga.h
 *		Runs sagas as the owner of their definition.
 */
#ifndef SIERRA_SAGA_H
#define SIERRA_SAGA_H

#include "store/store.h"

/*
 * How long a step waits for a lock, in milliseconds, if it is not the first
 * step of its transaction.  The steps before it hold locks for which others may
 * wait, and to give up early is cheaper than a deadlock.
 */
#define SIERRA_SAGA_LOCK_TIMEOUT 100

/*
 * Takes an instance one step further, as the owner of its definition.  Unless patient, waits at
 * most SIERRA_SAGA_LOCK_TIMEOUT for each lock.  Returns false if there was nothing to do, if an
 * action of this instance is the caller, or if "owner" is not InvalidOid and the definition belongs
 * to another role.  Raises 42704 if there is no such instance, 42501 if the caller has not the
 * right UPDATE on saga_instances.  Locks the row of the instance until the transaction ends.
 */
extern bool sierra_saga_run(SierraStore *store, text *saga_id, bool patient, Oid owner);

#endif /* SIERRA_SAGA_H */
