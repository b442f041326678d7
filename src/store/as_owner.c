/*
 * as_owner.c
 *		Lets superusers and monitors look at stores of others without running their code.
 *
 * The owner of a store decides what is in it: index expressions, predicates,
 * policies, and views in the place of tables.  The planner evaluates some of that
 * before it checks any right.  So a superuser who looks at the store of somebody
 * else would run code of that role as a superuser.
 *
 * A function that shows or runs what belongs to a store therefore has two parts.
 * The one that users call is sierra_show(), sierra_show_contents() or
 * sierra_run_as_owner(), here.  It calls the body, a function in schema
 * sierra_internal with the same arguments and "_body" behind the name.  If the
 * caller is a superuser or a monitor, and not the owner of the store, the body
 * runs as the owner in a security-restricted operation.  Any other role runs it
 * with its own rights, as it would run a query over the tables.
 */
#include "postgres.h"

#include "base/guc.h"
#include "store/early_release.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "store/store.h"
#include "store/time_limit.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(sierra_show);
PG_FUNCTION_INFO_V1(sierra_show_contents);
PG_FUNCTION_INFO_V1(sierra_show_quickly);
PG_FUNCTION_INFO_V1(sierra_run_as_owner);
PG_FUNCTION_INFO_V1(sierra_call_in_time);

/* Functions that show events, or what is made of them, and the tables that they read. */
static const struct
{
	const char *function;
	const char *tables[2];
} contents[] = {
	{"everify", {"events"}},
	{"estates", {"projections", "projection_states"}},
	{"etrace", {"events"}},
};

/* The function that is called, and its body. */
typedef struct Call
{
	char *function;
	Oid body;
	const char *store;
} Call;

/* The store is the first argument if that is a name, else the one of sierra_es.store. */
static void
find_body(FunctionCallInfo fcinfo, Call *call)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	call->function = pstrdup(NameStr(form->proname));
	call->body = sierra_extension_function(psprintf("%s_body", call->function), form->pronargs,
										   form->proargtypes.values);
	call->store = sierra_guc_store;
	if (form->pronargs > 0 && form->proargtypes.values[0] == NAMEOID && !PG_ARGISNULL(0))
		call->store = NameStr(*PG_GETARG_NAME(0));
	ReleaseSysCache(tuple);
}

/*
 * The owner of a store that the current user looks at; the table of events stays
 * locked, so that the store cannot get another owner.  Only catalogs are read.
 */
static Oid
find_owner(const char *store)
{
	static const Oid types[] = {NAMEOID};
	Oid schema = get_namespace_oid(store, true);
	Oid events = OidIsValid(schema) ? get_relname_relid("events", schema) : InvalidOid;
	NameData name;

	if (OidIsValid(events))
		LockRelationOid(events, AccessShareLock);
	if (sierra_relation_owner(events) != GetUserId())
	{
		namestrcpy(&name, store);
		/* Raises SE005 unless there is a store of this name. */
		(void) OidFunctionCall1(sierra_extension_function("find_store", 1, types),
								NameGetDatum(&name));
	}
	return sierra_run_as_store_owner(schema);
}

/* Calls the body with the same arguments; a set comes back in the same way. */
static Datum
call_body(FunctionCallInfo fcinfo, Oid body, Oid role)
{
	FunctionCallInfo called = palloc(SizeForFunctionCallInfo(PG_NARGS()));
	SierraRunAs run_as;
	FmgrInfo info;
	Datum result;

	fmgr_info(body, &info);
	InitFunctionCallInfoData(*called, &info, PG_NARGS(), fcinfo->fncollation, NULL,
							 fcinfo->resultinfo);
	memcpy(called->args, fcinfo->args, sizeof(NullableDatum) * PG_NARGS());
	if (OidIsValid(role))
		sierra_run_as_begin_as(&run_as, role);
	result = FunctionCallInvoke(called);
	if (OidIsValid(role))
		sierra_run_as_end(&run_as);
	fcinfo->isnull = called->isnull;
	return result;
}

/* A monitor sees neither events nor states without the rights on their tables. */
static void
check_contents(const char *function, const char *store)
{
	Oid schema = get_namespace_oid(store, false);

	for (int i = 0; i < lengthof(contents); i++)
	{
		for (int j = 0; j < lengthof(contents[i].tables); j++)
		{
			const char *table = contents[i].tables[j];
			Oid relid = table == NULL ? InvalidOid : get_relname_relid(table, schema);
			AclResult result;

			if (!OidIsValid(relid) || strcmp(contents[i].function, function) != 0)
				continue;
			result = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
			if (result != ACLCHECK_OK)
				aclcheck_error(result, OBJECT_TABLE, table);
			if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
				ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("cannot call %s() under row-level security", function),
						errdetail("A policy of table %s.%s holds for role \"%s\".", store, table,
								  GetUserNameFromId(GetUserId(), false)),
						errhint("Call it as the owner of the store."));
		}
	}
}

static Datum
call_safely(FunctionCallInfo fcinfo, bool privileged, bool shows_contents)
{
	Oid owner = InvalidOid;
	Call call;

	find_body(fcinfo, &call);
	sierra_flush_seen();
	if (privileged)
		owner = find_owner(call.store);
	if (privileged && shows_contents)
		check_contents(call.function, call.store);
	return call_body(fcinfo, call.body, owner == GetUserId() ? InvalidOid : owner);
}

/*
 * Without statistics the planner takes the small tables of a store for large ones, and
 * would compile plans that are run once: that takes much longer than to run them.
 */
static Datum
show(FunctionCallInfo fcinfo, bool shows_contents)
{
	int settings = NewGUCNestLevel();
	Datum result;

	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	result = call_safely(fcinfo, sierra_run_as_monitor(), shows_contents);
	AtEOXact_GUC(false, settings);
	return result;
}

/* What a monitor may see of every store: progress and failures. */
Datum
sierra_show(PG_FUNCTION_ARGS)
{
	return show(fcinfo, false);
}

/* What a monitor may see only with the rights on the tables. */
Datum
sierra_show_contents(PG_FUNCTION_ARGS)
{
	return show(fcinfo, true);
}

/* How long sierra_show_quickly() may take in all, and wait for a lock. */
#define QUICK_MS 1000
#define QUICK_LOCK_TIMEOUT "100ms"

static Datum
show_in_time(FunctionCallInfo fcinfo)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;
	ErrorData *error;

	sierra_time_limit_begin_job(QUICK_MS);
	PG_TRY();
	{
		result = show(fcinfo, false);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		(void) sierra_time_limit_take(error);
		sierra_time_limit_end_job();
		ReThrowError(error);
	}
	PG_END_TRY();
	sierra_time_limit_end_job();
	return result;
}

/*
 * For what is asked every few seconds about stores of all owners: neither a lock nor a large
 * table of one of them may hold up the answer for the others.  If it takes too long, it fails.
 */
Datum
sierra_show_quickly(PG_FUNCTION_ARGS)
{
	int settings = NewGUCNestLevel();
	Datum result;

	(void) set_config_option("lock_timeout", QUICK_LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	result = sierra_time_limit_is_set() ? show(fcinfo, false) : show_in_time(fcinfo);
	AtEOXact_GUC(false, settings);
	return result;
}

Datum
sierra_run_as_owner(PG_FUNCTION_ARGS)
{
	return call_safely(fcinfo, superuser(), false);
}

/* Calls the body as the current user; in a runner, a call that takes too long fails. */
Datum
sierra_call_in_time(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;
	Call call;

	find_body(fcinfo, &call);
	sierra_time_limit_begin();
	PG_TRY();
	{
		result = call_body(fcinfo, call.body, InvalidOid);
	}
	PG_CATCH();
	{
		sierra_time_limit_rethrow(context, true);
	}
	PG_END_TRY();
	sierra_time_limit_end();
	return result;
}
