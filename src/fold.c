/*
 * fold.c
 *		Folds: a state, and a function that takes it from one event to the next.
 *
 * What the function leaves behind is thrown away after each event.  So the
 * state moves between two contexts, as that of a window aggregate does.
 */
#include "postgres.h"

#include "compat.h"
#include "event.h"
#include "fold.h"
#include "result.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static bool
has_signature(Oid function, Oid event_type)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool fits;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	fits = form->prokind == PROKIND_FUNCTION && form->pronargs == 2 && !form->proretset &&
		   form->prorettype == JSONBOID && form->proargtypes.values[0] == JSONBOID &&
		   form->proargtypes.values[1] == event_type;
	ReleaseSysCache(tuple);
	return fits;
}

Oid
sierra_fold_function(const char *procedure, Oid event_type)
{
	Oid function =
		DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(procedure)));

	if (!has_signature(function, event_type))
		ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				errmsg("function %s is no fold", procedure),
				errhint("A fold takes (state jsonb, event sierra_event) and returns jsonb."));
	if (!sierra_compat_may_execute(function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
	return function;
}

void
sierra_fold_event(SierraFold *fold, Datum event)
{
	LOCAL_FCINFO(fcinfo, 2);
	MemoryContext next = fold->contexts[1 - fold->current];
	MemoryContext old = MemoryContextSwitchTo(next);

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
			/* It may be the old state, or lie where the function's own memory is. */
			fold->state = PointerGetDatum(PG_DETOAST_DATUM_COPY(fold->state));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(fold->contexts[fold->current]);
	fold->current = 1 - fold->current;
}

bool
sierra_fold_values(void *arg, Datum *values, bool *nulls)
{
	SierraFold *fold = arg;
	TimestampTz timestamp = DatumGetTimestampTz(values[7]);
	MemoryContext old;
	Datum event;

	if (timestamp > fold->until)
		return false;
	fold->version = DatumGetInt64(values[4]);
	fold->newest = fold->count++ == 0 ? timestamp : Max(fold->newest, timestamp);

	old = MemoryContextSwitchTo(fold->contexts[1 - fold->current]);
	event = HeapTupleHeaderGetDatum(heap_form_tuple(fold->desc, values, nulls)->t_data);
	MemoryContextSwitchTo(old);
	sierra_fold_event(fold, event);
	return true;
}

static bool
fold_slot(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	CHECK_FOR_INTERRUPTS();
	sierra_result_values(slot, values, nulls);
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
}

void
sierra_fold_begin(SierraFold *fold, Oid function, Oid event_type, Datum state, bool isnull,
				  TimestampTz until)
{
	fold->base.put = fold_slot;
	fmgr_info(function, &fold->function);
	fold->desc = lookup_rowtype_tupdesc_copy(event_type, -1);
	for (int i = 0; i < 2; i++)
		fold->contexts[i] =
			AllocSetContextCreate(CurrentMemoryContext, "sierra_es fold", ALLOCSET_DEFAULT_SIZES);
	sierra_fold_restart(fold, state, isnull);
	fold->until = until;
	fold->version = SIERRA_NONE;
	fold->count = 0;
	fold->newest = DT_NOBEGIN;
}
