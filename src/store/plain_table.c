/*
 * plain_table.c
 *		Is a table of a store as create_event_store() makes it, so that a query over it runs
 *		no code of its owner?
 *
 * To run the query as the owner keeps the caller's rights safe, but such code could take any
 * time, and catch the cancellation that is to end it.  So those that ask about all stores
 * every few seconds leave out what is not plain.  What can hide in a table:
 *
 *	- another kind of relation, with the name of the table
 *	- a policy, if it holds for the owner too
 *	- tables that inherit from it
 *	- a column of another type, which has functions of its own (table_shape.c)
 *	- expressions and predicates of indexes, and expressions of statistics: the planner
 *	  evaluates parts of them.  Those that only call functions of PostgreSQL are harmless.
 */
#include "postgres.h"

#include "base/errors.h"
#include "store/plain_table.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(sierra_require_plain_tables);

static bool
is_users(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

static bool
calls_users(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_users, context) ||
		   expression_tree_walker(node, calls_users, context);
}

/* Does an expression that a catalog stores call functions that are not PostgreSQL's? */
static bool
stored_calls_users(int cache, HeapTuple tuple, AttrNumber column)
{
	bool isnull;
	Datum stored = SysCacheGetAttr(cache, tuple, column, &isnull);

	return !isnull && calls_users(stringToNode(TextDatumGetCString(stored)), NULL);
}

/* Looked up by OID: the relation cache would evaluate constants in the expressions. */
static bool
any_calls_users(List *oids, int cache, AttrNumber first, AttrNumber second)
{
	ListCell *cell;

	foreach (cell, oids)
	{
		HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(lfirst_oid(cell)));
		bool found;

		if (!HeapTupleIsValid(tuple))
			continue;
		found = stored_calls_users(cache, tuple, first) ||
				(second != InvalidAttrNumber && stored_calls_users(cache, tuple, second));
		ReleaseSysCache(tuple);
		if (found)
			return true;
	}
	return false;
}

const char *
sierra_table_foreign_code(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rules != NULL)
		return "It is not a plain table.";
	if (rel->rd_rel->relforcerowsecurity)
		return "Row-level security holds for its owner too.";
	if (find_inheritance_children(RelationGetRelid(rel), NoLock) != NIL)
		return "Other tables inherit from it.";
	if (any_calls_users(RelationGetIndexList(rel), INDEXRELID, Anum_pg_index_indexprs,
						Anum_pg_index_indpred))
		return "An index of it calls a function that is not PostgreSQL's.";
	if (any_calls_users(RelationGetStatExtList(rel), STATEXTOID, Anum_pg_statistic_ext_stxexprs,
						InvalidAttrNumber))
		return "Statistics of it call a function that is not PostgreSQL's.";
	return NULL;
}

static void
require_plain(const char *store, const char *table, Oid relid)
{
	Relation rel = try_relation_open(relid, NoLock);
	const char *reason;

	if (rel == NULL)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("event store \"%s\" has lost table \"%s\"", store, table));
	reason = sierra_table_foreign_code(rel);
	if (reason == NULL && !sierra_shape_has_columns(rel, sierra_shape_of(table)))
		reason = "It has other columns than the table of a store.";
	if (reason != NULL)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("table \"%s\" of event store \"%s\" could run code of its owner", table, store),
			errdetail("%s", reason));
	relation_close(rel, NoLock);
}

/*
 * require_plain_tables(store, tables): locks these tables of a store until the end of the
 * transaction, if the locks are free (55P03), and raises 55000 unless all are plain.
 */
Datum
sierra_require_plain_tables(PG_FUNCTION_ARGS)
{
	const char *store = NameStr(*PG_GETARG_NAME(0));
	Oid schema = get_namespace_oid(store, false);
	Datum *tables;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &tables, NULL,
					  &count);
	for (int i = 0; i < count; i++)
	{
		const char *table = TextDatumGetCString(tables[i]);
		Oid relid = get_relname_relid(table, schema);

		if (!OidIsValid(relid) || sierra_shape_of(table) == NULL)
			ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
					errmsg("event store \"%s\" has lost table \"%s\"", store, table));
		if (!ConditionalLockRelationOid(relid, AccessShareLock))
			ereport(ERROR, errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("table \"%s\" of event store \"%s\" is locked", table, store));
		/* While nobody held the lock, another table may have got the name. */
		require_plain(store, table, get_relname_relid(table, schema) == relid ? relid : InvalidOid);
	}
	PG_RETURN_VOID();
}
