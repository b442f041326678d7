/*
 * batch.h
 *		Events on their way to the handler of a projection, and their keys.
 */
#ifndef SIERRA_BATCH_H
#define SIERRA_BATCH_H

#include "projection/projection.h"

#include "utils/array.h"

struct Tuplestorestate;

/* Events in their order, as values of type sierra_event and by column. */
typedef struct SierraBatch
{
	int count;
	Datum *events;
	int64 *positions;
	int64 *versions;
	text **streams;
} SierraBatch;

/*
 * Takes at most max_count events from the read position of the tuplestore.
 * Memory is in the current context.
 */
extern void sierra_batch_read(SierraBatch *batch, const SierraProjection *projection,
							  struct Tuplestorestate *rows, int max_count);

/* Makes a batch of one event, given as values in the order of sierra_event. */
extern void sierra_batch_single(SierraBatch *batch, const SierraProjection *projection,
								Datum *values, bool *nulls);

/*
 * The events with indexes from "from" to "to" - 1, as handlers get them:
 * upcast, if there are upcasters.  Called between sierra_projection_enter() and
 * sierra_projection_leave().  If an upcaster fails, its error is raised here.
 */
extern SierraBatch sierra_batch_part(const SierraProjection *projection, const SierraBatch *batch,
									 int from, int to);

/* The events as a value of type sierra_event[]. */
extern ArrayType *sierra_batch_array(const SierraProjection *projection, const SierraBatch *batch);

/*
 * The keys of the events, NULL for an event that belongs to no state.  Called
 * between sierra_projection_enter() and sierra_projection_leave(), with an
 * active snapshot.  Raises 21000 if the expression does not return one value
 * for each event, and any error of the expression.
 */
extern text **sierra_batch_keys(const SierraProjection *projection, const SierraBatch *batch);

#endif /* SIERRA_BATCH_H */
