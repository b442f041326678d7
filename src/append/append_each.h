/*
 * append_each.h
 *		Many calls in one statement, as eappend_each() gets them.
 */
#ifndef SIERRA_APPEND_EACH_H
#define SIERRA_APPEND_EACH_H

#include "append/call.h"
#include "append/event_arrays.h"
#include "append/refusal.h"
#include "append/route.h"

#include "fmgr.h"

/* The calls of a statement. */
typedef struct SierraBatch
{
	SierraArray arrays[SIERRA_ARRAYS];
	SierraArray partition_keys;
	SierraArray conditions;
	SierraArray numbers; /* of the calls */
	int count;			 /* of elements */
	SierraNewEvent *events;
	int nevents;			 /* of calls that were read */
	SierraAppendCall *calls; /* that were read */
	int ncalls;
	SierraAppendResult *results;
	ErrorData **errors; /* by element: why its call was not read, or NULL */
} SierraBatch;

/*
 * Reads the arguments of eappend_each(), and appends what they say.  Raises the errors of the
 * whole statement.
 */
extern void sierra_batch_run(FunctionCallInfo fcinfo, SierraBatch *batch);

/* Takes elements whose call is refused, from number first on. */
typedef void SierraBatchRefused(const SierraBatch *batch, const ErrorData *error, int first,
								int count, void *arg);

/* Takes a call that has been appended, now or before. */
typedef void SierraBatchStored(const SierraBatch *batch, const SierraAppendCall *call, void *arg);

/*
 * Passes on what became of the calls, in the order of the elements.  What the functions allocate
 * is freed after each call.
 */
extern void sierra_batch_report(const SierraBatch *batch, SierraBatchRefused *refused,
								SierraBatchStored *stored, void *arg);

#endif /* SIERRA_APPEND_EACH_H */
