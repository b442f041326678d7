/*
 * handler.c
 *		Gives events to the handler of a projection, and keeps its states.
 *
 * A fold handles a batch as a whole.  The events are sorted by key, so that
 * each state is folded with all of its events before the next state.
 */
#include "postgres.h"

#include "aggregate/fold.h"
#include "projection/handler.h"
#include "projection/process_manager.h"
#include "projection/projection_state.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* Folds each state with its events. */
static void
fold_states(const SierraProjection *projection, const SierraBatch *batch, SierraStates *states)
{
	SierraFold fold;
	int next = 0;

	sierra_fold_begin(&fold, projection->handler, projection->event_type, (Datum) 0, true,
					  DT_NOEND);
	for (int i = 0; i < states->count; i++)
	{
		sierra_fold_restart(&fold, states->values[i], states->nulls[i]);
		for (; next < states->nevents && states->events[next].state == i; next++)
		{
			int place = states->events[next].place;

			CHECK_FOR_INTERRUPTS();
			sierra_fold_event(&fold, batch->events[place]);
			states->positions[i] = Int64GetDatum(batch->positions[place]);
			states->versions[i] = Int64GetDatum(batch->versions[place]);
		}
		states->nulls[i] = fold.isnull;
		states->values[i] =
			fold.isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(fold.state));
	}
}

static void
fold_batch(const SierraProjection *projection, const SierraBatch *batch)
{
	text **keys = sierra_batch_keys(projection, batch);
	SierraStates states;

	if (!sierra_states_load(&states, projection, keys, batch->count))
		return;
	fold_states(projection, batch, &states);
	sierra_states_save(projection, &states);
}

static void
call_handler(FmgrInfo *handler, Datum argument)
{
	LOCAL_FCINFO(fcinfo, 1);

	InitFunctionCallInfoData(*fcinfo, handler, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = argument;
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
}

static void
handle_events(const SierraProjection *projection, const SierraBatch *batch)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es handler", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	FmgrInfo handler;

	fmgr_info(projection->handler, &handler);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < batch->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		call_handler(&handler, batch->events[i]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
sierra_project(const SierraProjection *projection, const SierraBatch *batch)
{
	FmgrInfo handler;

	switch (projection->kind)
	{
		case SIERRA_HANDLES_EVENT:
			handle_events(projection, batch);
			break;
		case SIERRA_HANDLES_BATCH:
			fmgr_info(projection->handler, &handler);
			call_handler(&handler, PointerGetDatum(sierra_batch_array(projection, batch)));
			break;
		case SIERRA_FOLDS:
			fold_batch(projection, batch);
			break;
		case SIERRA_MANAGES:
			sierra_manage(projection, batch);
			break;
	}
}

/* Folds one event while other transactions may fold events into the same state. */
static void
fold_shared(const SierraProjection *projection, const SierraBatch *batch)
{
	text *key = *sierra_batch_keys(projection, batch);
	SierraState state = {.key = PointerGetDatum(key),
						 .position = batch->positions[0],
						 .version = batch->versions[0]};
	SierraFold fold;

	if (key == NULL)
		return;
	state.value = sierra_state_lock(projection, state.key, &state.isnull);
	sierra_fold_begin(&fold, projection->handler, projection->event_type, state.value, state.isnull,
					  DT_NOEND);
	sierra_fold_event(&fold, batch->events[0]);
	state.value = fold.state;
	state.isnull = fold.isnull;
	sierra_state_save(projection, &state);
}

void
sierra_project_shared(const SierraProjection *projection, const SierraBatch *batch)
{
	if (projection->kind == SIERRA_FOLDS)
		fold_shared(projection, batch);
	else
		sierra_project(projection, batch);
}
