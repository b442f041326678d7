/*
 * saga_step.h
 *		Takes a saga forward: reads it, calls an action, records the result.
 *
 * The current user is the owner of the saga.
 */
#ifndef SIERRA_SAGA_STEP_H
#define SIERRA_SAGA_STEP_H

#include "saga/saga_state.h"
#include "store/store.h"

/*
 * Reads the stream of an instance and fills *state; raises 42704 unless it begins with
 * SagaStarted of a saga that is defined.
 */
extern void sierra_saga_load(const char *store_name, text *saga_id, SierraSagaState *state);

/*
 * Appends an event at the version of the state, and folds it in.  id may be NULL.  Raises
 * the errors of eappend().
 */
extern void sierra_saga_append(SierraSagaState *state, const char *event_name, Jsonb *payload,
							   const pg_uuid_t *id);

/*
 * Records that the step of the state is done.  The answer, which may be NULL, is merged into
 * the data.  Schedules the time-out of the next step; after the last step, the saga ends.
 */
extern void sierra_saga_complete_step(SierraSagaState *state, Jsonb *answer);

/* Appends the event that ends a saga whose steps are all done. */
extern void sierra_saga_complete(SierraSagaState *state);

/*
 * Is there an action to call now?  Not if a time-out is over, or the saga compensates: that is
 * for advance_saga(), in SQL.
 */
extern bool sierra_saga_has_action(const SierraSagaState *state);

/*
 * Calls the action of the step, in a subtransaction, and records the result.  If it failed,
 * fail_saga_action() in SQL records that; a transient error is raised.
 */
extern void sierra_saga_run_action(const SierraStore *store, SierraSagaState *state);

/* The row of the instance as the state says. */
extern void sierra_saga_write_row(const SierraStore *store, const SierraSagaState *state);

#endif /* SIERRA_SAGA_STEP_H */
