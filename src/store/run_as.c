/*
 * run_as.c
 *		Runs projections, process managers and sagas as the role that they name.
 *
 * A row of a table names a role and the function that runs as this role.  So a role
 * that may write such a row must not be able to run a function as any other role.
 * Two rules prevent that.  A trigger of the table lets a role write rows only for
 * roles that it is a member of, and does not let it change the function of a row.
 * But the owner of the table could drop the trigger.  So a row is used only if the
 * owner of the table is a member of the role in the row: this owner could have
 * become that role anyway.
 *
 * In the other direction, the function must not get the rights of the role that
 * started the run.  So it runs in a security-restricted operation, where it cannot
 * leave anything behind that would run later as the caller.  Temporary tables of the
 * caller come last in the search_path, as PostgreSQL recommends for a SECURITY
 * DEFINER function.
 */
#include "postgres.h"

#include "store/run_as.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

Oid
sierra_relation_owner(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

Oid
sierra_run_as_table_owner(const SierraStore *store, const char *table, AclMode rights)
{
	Oid relid = sierra_store_table(store, table);
	Oid owner;
	AclResult result;

	result = rights == ACL_NO_RIGHTS ? ACLCHECK_OK : pg_class_aclcheck(relid, GetUserId(), rights);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, table);
	LockRelationOid(relid, AccessShareLock);
	owner = sierra_relation_owner(relid);
	if (!OidIsValid(owner))
		sierra_store_report_missing(NameStr(store->name));
	return owner;
}

void
sierra_run_as_check(const SierraStore *store, const char *table, Oid table_owner, Oid role,
					const char *what)
{
	if (is_member_of_role(table_owner, role))
		return;
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("%s cannot run as role \"%s\"", what, GetUserNameFromId(role, false)),
			errdetail("Role \"%s\" owns the table %s.%s and is not a member of it.",
					  GetUserNameFromId(table_owner, false), NameStr(store->name), table),
			errhint("Create it as the store's owner, or as a role that this owner is a member "
					"of."));
}

void
sierra_run_as_begin_as(SierraRunAs *run_as, Oid role)
{
	GetUserIdAndSecContext(&run_as->caller, &run_as->caller_context);
	SetUserIdAndSecContext(role, run_as->caller_context | SECURITY_LOCAL_USERID_CHANGE |
									 SECURITY_RESTRICTED_OPERATION);
	run_as->settings = NewGUCNestLevel();
}

/* The search_path, with pg_temp at its end unless it names pg_temp already. */
static char *
path_without_traps(const char *search_path)
{
	char *copy = pstrdup(search_path);
	List *names;
	ListCell *cell;

	if (SplitIdentifierString(copy, ',', &names))
	{
		foreach (cell, names)
		{
			if (strcmp(lfirst(cell), "pg_temp") == 0)
				return pstrdup(search_path);
		}
	}
	return search_path[0] == '\0' ? pstrdup("pg_temp") : psprintf("%s, pg_temp", search_path);
}

void
sierra_run_as_set_path(const char *search_path)
{
	(void) set_config_option("search_path", path_without_traps(search_path), PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
sierra_run_as_end(const SierraRunAs *run_as)
{
	AtEOXact_GUC(false, run_as->settings);
	SetUserIdAndSecContext(run_as->caller, run_as->caller_context);
}
