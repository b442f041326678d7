/*
 * guarded_stores.c
 *		Finds the stores of a database by their guards.  Only catalogs are read.
 */
#include "postgres.h"

#include "worker/guarded_stores.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"

/* Has the table the guard of stores? */
static bool
has_guard(Relation triggers, Oid table, Oid guard)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	bool found;

	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("sierra_guard"));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple) && ((Form_pg_trigger) GETSTRUCT(tuple))->tgfoid == guard;
	systable_endscan(scan);
	return found;
}

/*
 * Lists the stores by their tables of events: there is one in each schema, but any number
 * of triggers can call the guard.
 */
void
sierra_list_guarded_stores(Oid guard, void (*note)(Oid schema, Oid owner))
{
	Relation classes = table_open(RelationRelationId, AccessShareLock);
	Relation triggers = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("events"));
	scan = systable_beginscan(classes, ClassNameNspIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class row = (Form_pg_class) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (row->relkind == RELKIND_PARTITIONED_TABLE && has_guard(triggers, row->oid, guard))
			note(row->relnamespace, row->relowner);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	table_close(classes, AccessShareLock);
}
