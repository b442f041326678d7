/*
 * user_function.c
 *		Functions that users register: folds, upcasters, command handlers and so on.
 *
 * A store keeps the name of a function as text, qualified by schema, so that a dump
 * and restore keeps it.  The function is looked up and checked before each use,
 * because another function may have this name by then.
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/user_function.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

Oid
sierra_function_of_text(const char *procedure)
{
	Oid function =
		DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(procedure)));

	/* A text of digits is taken for an OID, whatever that names. */
	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function %s does not exist", procedure));
	return function;
}

bool
sierra_function_fits(Oid function, int nargs, const Oid *args, Oid result)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool fits;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	fits = form->prokind == PROKIND_FUNCTION && !form->proretset && form->prorettype == result &&
		   form->pronargs == nargs &&
		   memcmp(form->proargtypes.values, args, sizeof(Oid) * nargs) == 0;
	ReleaseSysCache(tuple);
	return fits;
}

void
sierra_function_check_execute(Oid function)
{
	if (!sierra_compat_may_execute(function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
}
