/*
 * saga_action.h
 *		Calls an action or a compensation of a saga.
 */
#ifndef SIERRA_SAGA_ACTION_H
#define SIERRA_SAGA_ACTION_H

#include "utils/jsonb.h"

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
 * Calls an action or compensation as the current user.  Returns the object that
 * it returned, or NULL for null and void.  Raises 42883, 42P13 or 42501 if it
 * cannot be called, and 22023 if the result is not a JSON object.
 */
extern Jsonb *sierra_saga_call(const SierraSagaCall *saga_call);

#endif /* SIERRA_SAGA_ACTION_H */
