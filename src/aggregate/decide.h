/*
 * decide.h
 *		Command handlers: load a state, decide, append with the version loaded.
 */
#ifndef SIERRA_DECIDE_H
#define SIERRA_DECIDE_H

#include "append/condition.h"
#include "append/insert.h"
#include "append/refusal.h"

#include "aggregate/aggregate.h"

typedef struct SierraCommand
{
	Oid decide;
	Datum command;	/* jsonb */
	text *metadata; /* for events that have none of their own, or NULL */
	int retries;
	bool has_id;
	pg_uuid_t id; /* that of the first event; a stored event with it is the answer */
} SierraCommand;

typedef struct SierraDecision
{
	SierraNewEvent *events;
	SierraAppendResult *results;
	int count; /* 0: nothing to append */
} SierraDecision;

/*
 * Raises 42P13 if the function does not take (state jsonb, command jsonb) and
 * return json or jsonb, 42501 if the user may not call it.
 */
extern void sierra_decide_check_function(Oid function);

/*
 * Handles a command for a stream; load asks for its newest state.  If the command has an id, and
 * the stream has an event with this id, nothing is decided: the decision is what was appended then.
 * If another transaction appends to the stream meanwhile, loads and decides again, at most
 * command->retries times.  Returns the status
 * of the last sierra_append(), with the same locks held; *refusal is set as by
 * that.  *decision is allocated in a child of the current memory context.  The
 * store is open for reading; raises 42501 without the right to append.
 */
extern SierraAppendStatus sierra_decide(const SierraStore *store, const SierraLoad *load,
										const SierraCommand *command, SierraDecision *decision,
										SierraRefusal *refusal);

/*
 * Handles a command for the state of a query.  The append succeeds only if there is no event
 * by then that the query matches and that is not in the state; otherwise loads and decides
 * again.  Opens the store to append.  All else is as for sierra_decide(), but a command with
 * an id that is stored is a repetition whatever its stream is.
 */
extern SierraAppendStatus sierra_decide_query(const SierraQueryLoad *load,
											  const SierraCommand *command,
											  SierraDecision *decision, SierraRefusal *refusal);

/*
 * For both: calls the command handler with a state.  Returns the JSON text of its answer, or
 * NULL if there is nothing to append.
 */
extern text *sierra_decide_call(const SierraCommand *command, Datum state, bool isnull);

/*
 * For both: opens the store to append, and appends the events of the decision, if there are
 * any.  condition is NULL if they have none.
 */
extern SierraAppendStatus sierra_decide_append(SierraDecision *decision,
											   const SierraCondition *condition,
											   SierraRefusal *refusal);

/* For both: completes the events of the answer with the id and the metadata of the command. */
extern void sierra_decide_complete(const SierraCommand *command, SierraDecision *decision);

#endif /* SIERRA_DECIDE_H */
