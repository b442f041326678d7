/*
 * fold.h
 *		Folds: a state, and a function that takes it from one event to the next.
 */
#ifndef SIERRA_FOLD_H
#define SIERRA_FOLD_H

#include "fmgr.h"

#include "aggregate/upcast.h"
#include "read/sink.h"

#include "access/tupdesc.h"
#include "utils/timestamp.h"

/* A sink that calls a function (state jsonb, event sierra_event) returns jsonb. */
typedef struct SierraFold
{
	SierraSink base;
	FmgrInfo function;
	SierraUpcasters *upcasters; /* NULL: none; set after sierra_fold_begin() */
	TupleDesc desc;				/* of sierra_event */
	MemoryContext contexts[2];	/* the state is in one, the next state will be in the other */
	int current;
	Datum state;
	bool isnull;
	TimestampTz until; /* the first event later than this ends the fold */
	/* Version of the last event that was folded, or SIERRA_NONE. */
	int64 version;
	int64 count;		/* events folded */
	TimestampTz newest; /* the latest timestamp of these */
} SierraFold;

/*
 * Looks up a fold function by its name and argument types, as regprocedure
 * prints them.  event_type is the type sierra_event.  Raises 42883 if there is
 * no such function, 42P13 if it is not (jsonb, sierra_event) returns jsonb,
 * 42501 if the current user may not call it.
 */
extern Oid sierra_fold_function(const char *procedure, Oid event_type);

/*
 * Begins with a state, which is copied.  until is DT_NOEND for all events.
 * Memory is in children of the current context.
 */
extern void sierra_fold_begin(SierraFold *fold, Oid function, Oid event_type, Datum state,
							  bool isnull, TimestampTz until);

/* Begins again with another state.  The memory of the last state is freed. */
extern void sierra_fold_restart(SierraFold *fold, Datum state, bool isnull);

/* Folds an event given as a value of type sierra_event. */
extern void sierra_fold_event(SierraFold *fold, Datum event);

/*
 * Folds an event given as values in the order of sierra_event.  Returns false,
 * and folds nothing, if it is later than until.
 */
extern bool sierra_fold_values(void *fold, Datum *values, bool *nulls);

#endif /* SIERRA_FOLD_H */
