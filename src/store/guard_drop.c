/*
 * guard_drop.c
 *		The guard against DROP: DROP TABLE, DROP SCHEMA ... CASCADE and DROP OWNED do not
 *		delete events.
 *
 * It is an event trigger of the extension, and fires before the statement: afterwards the
 * tables are gone.  sierra_es.restore lets it pass; drop_event_store() sets this.
 * pg_restore --clean drops the guards of the tables first, so that it passes too.  A role
 * that may not drop the table gets PostgreSQL's own error.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "store/early_release.h"
#include "store/guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(sierra_guard_drop);

static bool
has_rows(Oid relid, Snapshot snapshot)
{
	Relation rel = try_relation_open(relid, AccessShareLock);
	TupleTableSlot *slot;
	TableScanDesc scan;
	bool found;

	if (rel == NULL)
		return false;
	if (!RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind))
	{
		relation_close(rel, AccessShareLock);
		return false;
	}
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, snapshot, 0, NULL);
	found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	relation_close(rel, AccessShareLock);
	return found;
}

static bool
is_guarded(Oid relid)
{
	Relation rel = try_relation_open(relid, AccessShareLock);
	bool guarded;

	if (rel == NULL)
		return false;
	guarded = sierra_guard_find(rel) != NULL;
	relation_close(rel, AccessShareLock);
	return guarded;
}

static void
refuse_if_store_has_events(Oid schema)
{
	Oid events = get_relname_relid("events", schema);
	Snapshot snapshot;
	List *leaves;
	ListCell *cell;
	bool found = false;

	if (!OidIsValid(events) || get_rel_relkind(events) != RELKIND_PARTITIONED_TABLE ||
		!is_guarded(events))
		return;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	sierra_flush_seen();
	leaves = find_inheritance_children(events, NoLock);
	foreach (cell, leaves)
	{
		CHECK_FOR_INTERRUPTS();
		found = has_rows(lfirst_oid(cell), snapshot);
		if (found)
			break;
	}
	UnregisterSnapshot(snapshot);
	if (found)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("event store \"%s\" has events", get_namespace_name(schema)),
				errdetail("The statement would drop tables of the store."),
				errhint("To delete the events for good, use drop_event_store(%s, force => true).",
						quote_literal_cstr(get_namespace_name(schema))));
}

static void
guard_tables(const DropStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->objects)
	{
		RangeVar *name = makeRangeVarFromNameList(lfirst_node(List, cell));
		Oid relid = RangeVarGetRelid(name, NoLock, true);
		Oid schema;

		if (!OidIsValid(relid))
			continue;
		schema = get_rel_namespace(relid);
		if ((sierra_compat_owns_relation(relid, GetUserId()) ||
			 sierra_compat_owns_schema(schema, GetUserId())) &&
			is_guarded(relid))
			refuse_if_store_has_events(schema);
	}
}

static void
guard_schemas(const DropStmt *statement)
{
	ListCell *cell;

	/* Without CASCADE, PostgreSQL refuses it. */
	if (statement->behavior != DROP_CASCADE)
		return;
	foreach (cell, statement->objects)
	{
		Oid schema = get_namespace_oid(strVal(lfirst(cell)), true);

		if (OidIsValid(schema) && sierra_compat_owns_schema(schema, GetUserId()))
			refuse_if_store_has_events(schema);
	}
}

/* All tables that are called events, and belong to the role. */
static void
guard_tables_of_role(Oid role)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("events"));
	scan = systable_beginscan(pg_class, ClassNameNspIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relowner == role)
			refuse_if_store_has_events(form->relnamespace);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
}

static void
guard_owned(const DropOwnedStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->roles)
	{
		Oid role = get_rolespec_oid(lfirst_node(RoleSpec, cell), true);

		if (OidIsValid(role) && has_privs_of_role(GetUserId(), role))
			guard_tables_of_role(role);
	}
}

Datum
sierra_guard_drop(PG_FUNCTION_ARGS)
{
	const Node *statement;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("guard_drop() must be called as an event trigger"));
	statement = ((EventTriggerData *) fcinfo->context)->parsetree;
	if (sierra_guc_restore)
		PG_RETURN_NULL();
	if (IsA(statement, DropOwnedStmt))
		guard_owned((const DropOwnedStmt *) statement);
	else if (IsA(statement, DropStmt))
	{
		const DropStmt *drop = (const DropStmt *) statement;

		if (drop->removeType == OBJECT_TABLE)
			guard_tables(drop);
		else if (drop->removeType == OBJECT_SCHEMA)
			guard_schemas(drop);
	}
	PG_RETURN_NULL();
}
