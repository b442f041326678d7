/*
 * project.h
 *		Gives events to the handler of a projection, and keeps its states.
 */
#ifndef SIERRA_PROJECT_H
#define SIERRA_PROJECT_H

#include "projection.h"

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

/* Takes at most so many events from where the tuplestore stands. */
extern void sierra_batch_read(SierraBatch *batch, const SierraProjection *projection,
							  struct Tuplestorestate *rows, int max_count);

/* Makes a batch of one event. */
extern void sierra_batch_single(SierraBatch *batch, const SierraProjection *projection,
								Datum *values, bool *nulls);

/*
 * The keys of events from..to - 1, NULL for an event that belongs to no state.
 * Entered, with an active snapshot.
 */
extern text **sierra_project_keys(const SierraProjection *projection, const SierraBatch *batch,
								  int from, int to);

/*
 * Hands events from..to - 1 to the handler.  Entered, with an active snapshot.
 * Nobody else writes states of this version: the caller holds the projection.
 */
extern void sierra_project(const SierraProjection *projection, const SierraBatch *batch, int from,
						   int to);

/* The same for one event while others do so too: waits for who writes the same state. */
extern void sierra_project_shared(const SierraProjection *projection, const SierraBatch *batch);

#endif /* SIERRA_PROJECT_H */
