/*
 * projection_state.h
 *		States of projections: which keys a batch has, loading and saving.
 */
#ifndef SIERRA_PROJECTION_STATE_H
#define SIERRA_PROJECTION_STATE_H

#include "projection/projection.h"

/* One event of a batch. */
typedef struct SierraKeyedEvent
{
	text *key;
	int place; /* in the batch */
	int state; /* in SierraStates */
} SierraKeyedEvent;

/* The states of a batch: by distinct key, in the order of keys. */
typedef struct SierraStates
{
	int nevents;
	SierraKeyedEvent *events; /* those that have a key, sorted by key, then place */
	int count;
	Datum *keys;
	Datum *tids;   /* where each is stored; 0: nowhere */
	Datum *values; /* jsonb */
	bool *nulls;
	Datum *positions; /* of the last event in each; set by who changes the state */
	Datum *versions;
} SierraStates;

/*
 * Sorts the events of a batch by their keys and loads the states of these;
 * states that are not stored begin anew.  False if no event has a key.
 */
extern bool sierra_states_load(SierraStates *states, const SierraProjection *projection,
							   text **keys, int count);

/* Saves all of them; a state that is null goes. */
extern void sierra_states_save(const SierraProjection *projection, const SierraStates *states);

/* One state, and the last event in it. */
typedef struct SierraState
{
	Datum key;
	Datum value; /* jsonb */
	bool isnull;
	int64 position;
	int64 version;
} SierraState;

/*
 * The state of a key, which becomes this transaction's own: waits for who writes
 * it.  Its row is there from then on.
 */
extern Datum sierra_state_lock(const SierraProjection *projection, Datum key, bool *isnull);

/* Saves a state that is locked; one that is null goes. */
extern void sierra_state_save(const SierraProjection *projection, const SierraState *state);

#endif /* SIERRA_PROJECTION_STATE_H */
