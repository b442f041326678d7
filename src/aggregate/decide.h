/*
 * decide.h
 *		Command handlers: load a state, decide, append with the version loaded.
 */
#ifndef SIERRA_DECIDE_H
#define SIERRA_DECIDE_H

#include "append/insert.h"
#include "append/refusal.h"

#include "aggregate/aggregate.h"

typedef struct SierraCommand
{
	SierraLoad load; /* at_version and until ask for the newest state */
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
 * Handles a command.  If the command has an id, and the stream has an event with
 * this id, nothing is decided: the decision is what was appended then.  If another
 * transaction appends to the stream meanwhile, loads and decides again, at most
 * command->retries times.  Returns the status
 * of the last sierra_append(), with the same locks held; *refusal is set as by
 * that.  *decision is allocated in a child of the current memory context.  The
 * caller has checked the rights to read and to append.
 */
extern SierraAppendStatus sierra_decide(const SierraStore *store, const SierraCommand *command,
										SierraDecision *decision, SierraRefusal *refusal);

#endif /* SIERRA_DECIDE_H */
