/*
 * saga_action.c
 *		Calls an action or a compensation of a saga.
 */
#include "postgres.h"

#include "saga/saga_action.h"
#include "store/run_as.h"
#include "store/time_limit.h"
#include "store/user_function.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/* The number of arguments of an action; raises 42P13 or 42501 if it cannot be called. */
static int
check_action(const char *procedure, Oid function)
{
	static const Oid args[2] = {JSONBOID, TEXTOID};
	int nargs = get_func_nargs(function);

	if ((nargs != 1 && nargs != 2) || (!sierra_function_fits(function, nargs, args, JSONBOID) &&
									   !sierra_function_fits(function, nargs, args, VOIDOID)))
		ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				errmsg("function %s is not an action of a saga", procedure),
				errhint("An action or compensation takes (data jsonb) or (data jsonb, saga_id "
						"text) and returns jsonb or void."));
	sierra_function_check_execute(function);
	return nargs;
}

static Datum
call(Oid function, int nargs, const SierraSagaCall *saga_call, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo info;
	Datum result;

	fmgr_info(function, &info);
	InitFunctionCallInfoData(*fcinfo, &info, nargs, DEFAULT_COLLATION_OID, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(saga_call->data);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(saga_call->saga_id);
	fcinfo->args[1].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull || get_func_rettype(function) == VOIDOID;
	return result;
}

/* The same.  An action that takes too long fails; the step is tried again or given up. */
static Datum
call_in_time(Oid function, int nargs, const SierraSagaCall *saga_call, bool *isnull)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		result = call(function, nargs, saga_call, isnull);
	}
	PG_CATCH();
	{
		sierra_time_limit_rethrow(context, false);
	}
	PG_END_TRY();
	return result;
}

Jsonb *
sierra_saga_call(const SierraSagaCall *saga_call)
{
	Oid function = sierra_function_of_text(saga_call->procedure);
	int nargs = check_action(saga_call->procedure, function);
	int settings = NewGUCNestLevel();
	bool isnull;
	Datum result;
	Jsonb *answer;

	sierra_run_as_set_path(saga_call->search_path);
	(void) set_config_option("sierra_es.metadata", saga_call->metadata, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	result = call_in_time(function, nargs, saga_call, &isnull);
	AtEOXact_GUC(false, settings);
	if (isnull)
		return NULL;
	answer = DatumGetJsonbP(result);
	if (!JB_ROOT_IS_OBJECT(answer))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("function %s returned no JSON object", saga_call->procedure),
				errhint("What an action or compensation returns is merged into the data of the "
						"saga: return an object, or null."));
	return answer;
}
