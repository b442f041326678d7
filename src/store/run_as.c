/*
 * run_as.c
 *		Runs projections, process managers and sagas as the role that they name.
 *
 * A row of a table names a role and the function that runs as this role.  So a role
 * that may write such a row must not be able to run a function as any other role.
 * Two rules prevent that.  A trigger of the table lets a role write rows only for
 * roles that it can become, and does not let it change the function of a row.
 * But the owner of the table could drop the trigger.  So a row is used only if the
 * owner of the table can become the role in the row: this owner could have
 * become that role anyway.
 *
 * In the other direction, the function must not get the rights of the role that
 * started the run.  So it runs in a security-restricted operation, where it cannot
 * leave anything behind that would run later as the caller.  Temporary tables of the
 * caller come last in the search_path, as PostgreSQL recommends for a SECURITY
 * DEFINER function.
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/run_as.h"
#include "store/table_shape.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

bool
sierra_role_exists(Oid role)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role));
}

bool
sierra_run_as_monitor(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
}

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

/* The owner of a schema; of schema public by default, the owner of the database. */
static Oid
schema_owner(Oid schema)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
		ReleaseSysCache(tuple);
	}
	if (owner != ROLE_PG_DATABASE_OWNER)
		return owner;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* A relation in the schema, or the schema itself if name is NULL. */
static void
check_trust(Oid schema, const char *name, Oid owner)
{
	Oid other = name == NULL ? schema_owner(schema)
							 : sierra_relation_owner(get_relname_relid(name, schema));

	if (other == owner || !OidIsValid(other) || sierra_compat_can_become(other, owner))
		return;
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("event store \"%s\" has more than one owner", get_namespace_name(schema)),
			errdetail("Role \"%s\" owns table \"events\"; role \"%s\" owns %s and may not become "
					  "that role.",
					  GetUserNameFromId(owner, false), GetUserNameFromId(other, false),
					  name == NULL ? "the schema" : psprintf("\"%s\"", name)),
			errhint("Give the schema and all tables of the store to one role."));
}

/* The owner of the schema counts, because it can replace every table. */
Oid
sierra_run_as_store_owner(Oid schema)
{
	static const char *const others[] = {NULL, "stream_keys", "event_ids", "event_tags",
										 "global_position"};
	Oid owner = sierra_relation_owner(get_relname_relid("events", schema));

	if (!OidIsValid(owner))
		return InvalidOid;
	for (int i = 0; i < lengthof(others); i++)
		check_trust(schema, others[i], owner);
	for (int i = 0; sierra_other_shapes[i] != NULL; i++)
		check_trust(schema, sierra_other_shapes[i]->name, owner);
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

/* What the owner of the store can do about a row whose role cannot run it. */
static const char *
hint_for_row(const char *table)
{
	if (strcmp(table, "projections") == 0)
		return "Give it to another role with alter_projection_owner(), or drop it with "
			   "drop_projection().";
	if (strcmp(table, "sagas") == 0)
		return "Give it to another role with alter_saga_owner().";
	return "Give the table to a role that may become it, or the projection to another role with "
		   "alter_projection_owner().";
}

void
sierra_run_as_check(const SierraStore *store, const char *table, Oid table_owner, Oid role,
					const char *what)
{
	if (!sierra_role_exists(role))
		ereport(
			ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("the owner of %s does not exist any more", what),
			errdetail("It was the role with OID %u; a role of the same name is another one.", role),
			errhint("%s", hint_for_row(table)));
	if (sierra_compat_can_become(table_owner, role))
		return;
	ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("%s cannot run as role \"%s\"", what, GetUserNameFromId(role, false)),
			errdetail("Role \"%s\" owns the table %s.%s and may not become it.",
					  GetUserNameFromId(table_owner, false), NameStr(store->name), table),
			errhint("%s", hint_for_row(table)));
}

void
sierra_run_as_begin_as(SierraRunAs *run_as, Oid role)
{
	GetUserIdAndSecContext(&run_as->caller, &run_as->caller_context);
	SetUserIdAndSecContext(role, run_as->caller_context | SECURITY_LOCAL_USERID_CHANGE |
									 SECURITY_RESTRICTED_OPERATION);
	run_as->settings = NewGUCNestLevel();
}

bool
sierra_run_as_begin_as_owner(SierraRunAs *run_as, const SierraStore *store)
{
	Oid owner;

	if (!superuser() || sierra_relation_owner(store->events) == GetUserId())
		return false;
	owner = sierra_run_as_store_owner(store->schema);
	if (!OidIsValid(owner))
		sierra_store_report_missing(NameStr(store->name));
	sierra_run_as_begin_as(run_as, owner);
	return true;
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
