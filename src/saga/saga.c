/*
 * saga.c
 *		Runs sagas as the owner of their definition.
 *
 * What a saga does next is decided in SQL (advance_saga).  This file
 * decides with whose rights it runs; run_as.c says why that gives nobody
 * additional rights.  The row of an instance names a definition, but roles that
 * may run sagas can change that row.  So nothing is run unless the saga's
 * stream names the same definition.
 */
#include "postgres.h"

#include "saga/saga.h"
#include "store/in_progress.h"
#include "store/query.h"
#include "store/run_as.h"
#include "store/time_limit.h"
#include "store/user_function.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

static const SierraQuery find_query = {
	"SELECT i.saga, i.version, d.owner::pg_catalog.oid FROM %1$s.saga_instances AS i"
	" JOIN %1$s.sagas AS d ON d.saga OPERATOR(pg_catalog.=) i.saga"
	" AND d.version OPERATOR(pg_catalog.=) i.version"
	" WHERE i.saga_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE OF i",
	1,
	{TEXTOID}};

/* The definition of an instance, and the owner of the definition. */
typedef struct Found
{
	text *saga;
	int32 version;
	Oid owner;
} Found;

static void
get_found(Found *found)
{
	found->saga = DatumGetTextPCopy(sierra_query_required(0, 1, TEXTOID));
	found->version = sierra_query_int4(0, 2);
	found->owner = DatumGetObjectId(sierra_query_required(0, 3, OIDOID));
}

/* Locks the row of the instance until the transaction ends; false if there is none. */
static bool
find(const SierraStore *store, text *saga_id, Oid table_owner, Found *found)
{
	Datum values[1] = {PointerGetDatum(saga_id)};
	SierraRunAs run_as;
	MemoryContext context;
	bool exists;

	sierra_run_as_begin_as(&run_as, table_owner);
	context = sierra_query_begin();
	exists = sierra_query(store, &find_query, values, NULL, false) > 0;
	if (exists)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		get_found(found);
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	sierra_run_as_end(&run_as);
	return exists;
}

static void
set_until_end(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

static bool
call_advance(Oid advance, const SierraStore *store, text *saga_id, const Found *found)
{
	MemoryContext context = CurrentMemoryContext;
	SierraInProgress in_progress;
	volatile bool done = false;

	if (!sierra_in_progress_begin(&in_progress, store,
								  psprintf("saga instance %s", text_to_cstring(saga_id))))
		return false;
	sierra_time_limit_begin();
	PG_TRY();
	{
		done = DatumGetBool(OidFunctionCall4(advance, NameGetDatum(&store->name),
											 PointerGetDatum(saga_id), PointerGetDatum(found->saga),
											 Int32GetDatum(found->version)));
	}
	PG_CATCH();
	{
		sierra_in_progress_end(&in_progress);
		sierra_time_limit_rethrow(context, true);
	}
	PG_END_TRY();
	sierra_in_progress_end(&in_progress);
	sierra_time_limit_end();
	return done;
}

bool
sierra_saga_run(SierraStore *store, text *saga_id, bool patient, Oid owner, Oid advance)
{
	Oid table_owner = sierra_run_as_table_owner(store, "saga_instances", ACL_UPDATE);
	Oid definer = sierra_run_as_table_owner(store, "sagas", ACL_NO_RIGHTS);
	SierraRunAs run_as;
	Found found;
	bool done;

	if (!find(store, saga_id, table_owner, &found))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("no saga instance \"%s\"", text_to_cstring(saga_id)),
				errdetail("Store \"%s\" has no row of this name with a definition.",
						  NameStr(store->name)));
	/* The definition is not locked, and can have got another owner since it was looked for. */
	if (OidIsValid(owner) && found.owner != owner)
		return false;
	sierra_run_as_check(store, "sagas", definer, found.owner,
						psprintf("saga \"%s\"", text_to_cstring(found.saga)));
	sierra_run_as_begin_as(&run_as, found.owner);
	if (!patient && (LockTimeout == 0 || LockTimeout > SIERRA_SAGA_LOCK_TIMEOUT))
		set_until_end("lock_timeout", psprintf("%d", SIERRA_SAGA_LOCK_TIMEOUT));
	done = call_advance(advance, store, saga_id, &found);
	sierra_run_as_end(&run_as);
	return done;
}

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
	set_until_end("sierra_es.metadata", saga_call->metadata);
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
