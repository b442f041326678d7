/*
 * process_manager.c
 *		Process managers: handlers that react to events, and remember by key.
 *
 * A handler has the arguments of a fold, but it has effects: it appends events,
 * schedules events, writes tables.  So, unlike for a fold, it is called for the
 * events in their order, whatever their keys are, and each call sees what the
 * calls before it did.  States are loaded and saved for the batch as a whole,
 * as for folds: nobody else writes them meanwhile.
 */
#include "postgres.h"

#include "aggregate/fold.h"
#include "base/json_slice.h"
#include "projection/process_manager.h"
#include "projection/projection_state.h"
#include "store/early_release.h"
#include "store/event.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define NO_STATE (-1)

/*
 * Sets the metadata of events that are appended from here on: their
 * causation_id is the id of this event, their correlation_id the same as that
 * of this event, or its id if it has none.
 */
static void
set_cause(const SierraProjection *projection, Datum event)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(event);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	SierraSlice correlation = {NULL, 0};
	StringInfoData value;
	char *event_id;
	bool isnull;
	Datum metadata;

	event_id = DatumGetCString(DirectFunctionCall1(
		uuid_out, heap_getattr(&tuple, SIERRA_EVENT_ID + 1, projection->desc, &isnull)));
	metadata = heap_getattr(&tuple, SIERRA_EVENT_METADATA + 1, projection->desc, &isnull);
	if (!isnull)
		correlation = sierra_json_member(DatumGetTextPP(metadata), "\"correlation_id\"");

	initStringInfo(&value);
	appendStringInfoString(&value, "{\"correlation_id\": ");
	if (correlation.start == NULL || sierra_slice_is(correlation, "null"))
		appendStringInfo(&value, "\"%s\"", event_id);
	else
		appendBinaryStringInfo(&value, correlation.start, correlation.length);
	appendStringInfo(&value, ", \"causation_id\": \"%s\"}", event_id);
	(void) set_config_option("sierra_es.metadata", value.data, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Calls the handler for one event, with the state of index i. */
static void
react(const SierraProjection *projection, SierraFold *fold, const SierraBatch *batch, int place,
	  SierraStates *states, int i)
{
	/* So that the handler sees what it did for the event before. */
	CommandCounterIncrement();
	sierra_push_new_snapshot();
	sierra_fold_restart(fold, states->values[i], states->nulls[i]);
	sierra_fold_event(fold, batch->events[place]);
	PopActiveSnapshot();
	/* The fold has a copy of its own. */
	if (!states->nulls[i] && states->values[i] != projection->initial)
		pfree(DatumGetPointer(states->values[i]));
	states->nulls[i] = fold->isnull;
	states->values[i] =
		fold->isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(fold->state));
	states->positions[i] = Int64GetDatum(batch->positions[place]);
	states->versions[i] = Int64GetDatum(batch->versions[place]);
}

static void
react_to_all(const SierraProjection *projection, const SierraBatch *batch, SierraStates *states)
{
	int *state_of = palloc(sizeof(int) * batch->count);
	int settings = NewGUCNestLevel();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch =
		AllocSetContextCreate(caller, "sierra_es cause", ALLOCSET_DEFAULT_SIZES);
	SierraFold fold;

	for (int i = 0; i < batch->count; i++)
		state_of[i] = NO_STATE;
	for (int i = 0; i < states->nevents; i++)
		state_of[states->events[i].place] = states->events[i].state;

	sierra_fold_begin(&fold, projection->handler, projection->event_type, (Datum) 0, true,
					  DT_NOEND);
	for (int place = 0; place < batch->count; place++)
	{
		int i = state_of[place];

		if (i == NO_STATE)
			continue;
		CHECK_FOR_INTERRUPTS();
		/* A process that has ended begins again. */
		if (states->nulls[i])
		{
			states->values[i] = projection->initial;
			states->nulls[i] = projection->initial_null;
		}
		MemoryContextSwitchTo(scratch);
		set_cause(projection, batch->events[place]);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(scratch);
		react(projection, &fold, batch, place, states, i);
	}
	AtEOXact_GUC(false, settings);
	MemoryContextDelete(scratch);
}

void
sierra_manage(const SierraProjection *projection, const SierraBatch *batch)
{
	text **keys = sierra_batch_keys(projection, batch);
	SierraStates states;

	if (!sierra_states_load(&states, projection, keys, batch->count))
		return;
	react_to_all(projection, batch, &states);
	sierra_states_save(projection, &states);
}
