/*
 * extension.c
 *		Objects of the extension that C code needs: its types and functions.
 */
#include "postgres.h"

#include "store/event.h"
#include "store/extension.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

bool
sierra_extension_exists(void)
{
	return OidIsValid(get_extension_oid("sierra_es", true));
}

/* The schema that the user chose, or InvalidOid without the extension. */
static Oid
find_schema(void)
{
	Relation extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid schema = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("sierra_es"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return schema;
}

static bool
is_event_type(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool is = false;

	if (HeapTupleIsValid(tuple))
	{
		is = strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname), "sierra_event") == 0;
		ReleaseSysCache(tuple);
	}
	return is;
}

/* Inline projections ask for each row, so it is kept as long as it exists. */
Oid
sierra_extension_event_type(void)
{
	static Oid type = InvalidOid;

	if (!OidIsValid(type) || !is_event_type(type))
		type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("sierra_event"),
							   ObjectIdGetDatum(find_schema()));
	if (!OidIsValid(type))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("type \"sierra_event\" does not exist"),
				errhint("Create the extension with CREATE EXTENSION sierra_es."));
	return type;
}

Oid
sierra_extension_type(const char *name)
{
	Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
							   ObjectIdGetDatum(get_namespace_oid(SIERRA_INTERNAL, true)));

	if (!OidIsValid(type))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("type \"%s.%s\" does not exist", SIERRA_INTERNAL, name),
				errhint("Create the extension with CREATE EXTENSION sierra_es."));
	return type;
}

void
sierra_extension_check_desc(TupleDesc desc, int columns)
{
	bool fits = desc->natts == columns;

	for (int i = 0; i < columns && fits; i++)
		fits = !TupleDescAttr(desc, i)->attisdropped;
	if (!fits)
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("type %s has been altered", format_type_be(desc->tdtypeid)),
				errdetail("It has not its %d attributes any more.", columns),
				errhint("Undo the change, or create the extension again."));
}

TupleDesc
sierra_extension_event_desc(void)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(sierra_extension_event_type(), -1);

	sierra_extension_check_desc(desc, Natts_events);
	return desc;
}

Oid
sierra_extension_function_in(const char *extension_name, const char *schema_name, const char *name,
							 int nargs, const Oid *arguments)
{
	Oid schema = get_namespace_oid(schema_name, true);
	Oid extension = get_extension_oid(extension_name, true);
	Oid function;

	if (!OidIsValid(schema) || !OidIsValid(extension))
		return InvalidOid;
	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
							   PointerGetDatum(buildoidvector(arguments, nargs)),
							   ObjectIdGetDatum(schema));
	if (!OidIsValid(function) || getExtensionOfObject(ProcedureRelationId, function) != extension)
		return InvalidOid;
	return function;
}

Oid
sierra_extension_find_function(const char *name, int nargs, const Oid *arguments)
{
	return sierra_extension_function_in("sierra_es", SIERRA_INTERNAL, name, nargs, arguments);
}

Oid
sierra_extension_function(const char *name, int nargs, const Oid *arguments)
{
	Oid function = sierra_extension_find_function(name, nargs, arguments);

	if (!OidIsValid(function))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("extension \"sierra_es\" has no function %s.%s", SIERRA_INTERNAL, name),
				errdetail("The extension is of another version than the library."),
				errhint("Use ALTER EXTENSION sierra_es UPDATE."));
	return function;
}

Oid
sierra_extension_guard(void)
{
	return sierra_extension_find_function("guard_events", 0, NULL);
}
