/*
 * fold.c
 *		Folds: a state, and a function that takes it from one event to the next.
 *
 * Memory that the function allocates is freed after each event.  So the state
 * moves between two memory contexts, as the state of a window aggregate does.
 */
#include "postgres.h"

#include "aggregate/fold.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/user_function.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

Oid
sierra_fold_function(const char *procedure, Oid event_type)
{
	Oid function = sierra_function_of_text(procedure);
	Oid arguments[2] = {JSONBOID, event_type};

	if (!sierra_function_fits(function, 2, arguments, JSONBOID))
		ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				errmsg("function %s is not a fold", procedure),
				errhint("A fold takes (state jsonb, event sierra_event) and returns jsonb."));
	sierra_function_check_execute(function);
	return function;
}

/* Calls the function.  The event is in the context in which the next state will be. */
static void
fold_formed(SierraFold *fold, Datum event)
{
	LOCAL_FCINFO(fcinfo, 2);
	MemoryContext old = MemoryContextSwitchTo(fold->contexts[1 - fold->current]);

	/* As in an aggregate: a strict function leaves a null state null. */
	if (!fold->isnull || !fold->function.fn_strict)
	{
		InitFunctionCallInfoData(*fcinfo, &fold->function, 2, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = fold->state;
		fcinfo->args[0].isnull = fold->isnull;
		fcinfo->args[1].value = event;
		fcinfo->args[1].isnull = false;
		fold->state = FunctionCallInvoke(fcinfo);
		fold->isnull = fcinfo->isnull;
		if (!fold->isnull)
			/* The result may be the old state, or be part of memory of the function. */
			fold->state = PointerGetDatum(PG_DETOAST_DATUM_COPY(fold->state));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(fold->contexts[fold->current]);
	fold->current = 1 - fold->current;
}

/* Makes an event from values, upcast if there are upcasters. */
static Datum
form_event(SierraFold *fold, Datum *values, bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(fold->contexts[1 - fold->current]);
	Datum event;

	if (fold->upcasters != NULL)
		sierra_upcast(fold->upcasters, values, nulls);
	event = HeapTupleHeaderGetDatum(heap_form_tuple(fold->desc, values, nulls)->t_data);
	MemoryContextSwitchTo(old);
	return event;
}

void
sierra_fold_event(SierraFold *fold, Datum event)
{
	if (fold->upcasters != NULL)
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(event);
		HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
		Datum values[Natts_events];
		bool nulls[Natts_events];

		heap_deform_tuple(&tuple, fold->desc, values, nulls);
		event = form_event(fold, values, nulls);
	}
	fold_formed(fold, event);
}

bool
sierra_fold_values(void *arg, Datum *values, bool *nulls)
{
	SierraFold *fold = arg;
	TimestampTz timestamp = DatumGetTimestampTz(values[SIERRA_EVENT_TIMESTAMP]);

	if (timestamp > fold->until)
		return false;
	fold->version = DatumGetInt64(values[SIERRA_EVENT_VERSION]);
	fold->newest = fold->count++ == 0 ? timestamp : Max(fold->newest, timestamp);
	fold_formed(fold, form_event(fold, values, nulls));
	return true;
}

static bool
fold_slot(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	CHECK_FOR_INTERRUPTS();
	sierra_event_values(slot, values, nulls);
	return sierra_fold_values(base, values, nulls);
}

void
sierra_fold_restart(SierraFold *fold, Datum state, bool isnull)
{
	MemoryContext old;

	MemoryContextReset(fold->contexts[0]);
	MemoryContextReset(fold->contexts[1]);
	fold->current = 0;
	old = MemoryContextSwitchTo(fold->contexts[0]);
	fold->isnull = isnull;
	fold->state = isnull ? (Datum) 0 : datumCopy(state, false, -1);
	MemoryContextSwitchTo(old);
	fold->version = SIERRA_NONE;
	fold->count = 0;
	fold->newest = DT_NOBEGIN;
}

void
sierra_fold_begin(SierraFold *fold, Oid function, Oid event_type, Datum state, bool isnull,
				  TimestampTz until)
{
	fold->base.put = fold_slot;
	fold->upcasters = NULL;
	fmgr_info(function, &fold->function);
	fold->desc = sierra_extension_event_desc();
	for (int i = 0; i < 2; i++)
		fold->contexts[i] =
			AllocSetContextCreate(CurrentMemoryContext, "sierra_es fold", ALLOCSET_DEFAULT_SIZES);
	fold->until = until;
	sierra_fold_restart(fold, state, isnull);
}
