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
	SierraLoad load; /* of the newest state */
	Oid decide;
	Datum command;	/* jsonb */
	text *metadata; /* for events that have none of their own, or NULL */
	int retries;
} SierraCommand;

typedef struct SierraDecision
{
	SierraNewEvent *events;
	SierraAppendResult *results;
	int count; /* 0: nothing to append */
} SierraDecision;

/*
 * Raises 42P13 or 42501 unless it is a function that the user may call, that
 * takes (state jsonb, command jsonb) and returns json or jsonb.
 */
extern void sierra_decide_check_function(Oid function);

/*
 * Handles a command; when another appends to the stream meanwhile, loads and
 * decides anew, retries times at most.  The result is that of sierra_append();
 * *decision lives in the current context.  The caller checked the rights to
 * read and to append.
 */
extern SierraAppendStatus sierra_decide(const SierraStore *store, const SierraCommand *command,
										SierraDecision *decision, SierraRefusal *refusal);

#endif /* SIERRA_DECIDE_H */
