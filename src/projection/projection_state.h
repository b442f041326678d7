/*
 * projection_state.h
 *		States of projections: which keys a batch has, loading and saving.
 */
#ifndef SIERRA_PROJECTION_STATE_H
#define SIERRA_PROJECTION_STATE_H

#include "projection/projection.h"

/* An event of a batch that has a key. */
typedef struct SierraKeyedEvent
{
	text *key;
	int place; /* its index in the batch */
	int state; /* index of its state in SierraStates */
} SierraKeyedEvent;

/* The states of a batch: one for each distinct key, sorted by key. */
typedef struct SierraStates
{
	int nevents;
	SierraKeyedEvent *events; /* sorted by key, then place */
	int count;
	Datum *keys;
	Datum *tids;   /* ctid of the row of each; 0: it is not stored */
	Datum *values; /* jsonb */
	bool *nulls;
	Datum *positions; /* of the last event in each; the caller sets it with the state */
	Datum *versions;
} SierraStates;

/*
 * Sorts the events of a batch by their keys and loads the states of these keys;
 * a state that is not stored gets the initial one.  Memory is in the current
 * context.  Returns false if no event has a key.
 */
extern bool sierra_states_load(SierraStates *states, const SierraProjection *projection,
							   text **keys, int count);

/* Saves all states; the row of a state that is null is deleted. */
extern void sierra_states_save(const SierraProjection *projection, const SierraStates *states);

/* One state, and position and stream version of the last event in it. */
typedef struct SierraState
{
	Datum key;
	Datum value; /* jsonb */
	bool isnull;
	int64 position;
	int64 version;
} SierraState;

/*
 * Returns the state of a key and locks its row until the transaction ends;
 * inserts the row if there is none.  Waits while another transaction writes the
 * same state.
 */
extern Datum sierra_state_lock(const SierraProjection *projection, Datum key, bool *isnull);

/* Saves a state that is locked; the row of a state that is null is deleted. */
extern void sierra_state_save(const SierraProjection *projection, const SierraState *state);

#endif /* SIERRA_PROJECTION_STATE_H */
