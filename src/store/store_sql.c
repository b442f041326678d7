/*
 * store_sql.c
 *		SQL functions for the rules of routing and the current store.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/guc.h"
#include "base/routing.h"
#include "store/category_index.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "store/store.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(sierra_current_store);
PG_FUNCTION_INFO_V1(sierra_find_store);
PG_FUNCTION_INFO_V1(sierra_missing_tables);
PG_FUNCTION_INFO_V1(sierra_require_store);
PG_FUNCTION_INFO_V1(sierra_can_become);
PG_FUNCTION_INFO_V1(sierra_stream_key);
PG_FUNCTION_INFO_V1(sierra_partition_key);
PG_FUNCTION_INFO_V1(sierra_partition_id);
PG_FUNCTION_INFO_V1(sierra_event_id);
PG_FUNCTION_INFO_V1(sierra_table_differences);
PG_FUNCTION_INFO_V1(sierra_is_category_index_sql);

/* The value of sierra_es.store; current_setting() fails if the library is not loaded yet. */
Datum
sierra_current_store(PG_FUNCTION_ARGS)
{
	Name store = palloc0(sizeof(NameData));

	namestrcpy(store, sierra_guc_store);
	PG_RETURN_NAME(store);
}

/* The store of this name, by default that of sierra_es.store; SE005 without its event tables. */
static Name
find_store(FunctionCallInfo fcinfo)
{
	static const Oid types[] = {NAMEOID};
	Name store = palloc0(sizeof(NameData));

	namestrcpy(store, PG_ARGISNULL(0) ? sierra_guc_store : NameStr(*PG_GETARG_NAME(0)));
	/* A query over the catalogs takes longer than most calls that need a store. */
	if (!sierra_store_is_kept(NameStr(*store)) &&
		!DatumGetBool(
			OidFunctionCall1(sierra_extension_function("is_store", 1, types), NameGetDatum(store))))
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("no event store \"%s\"", NameStr(*store)),
				errhint("event_stores() lists the stores of this database."));
	return store;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* The names of the tables that a schema would need to be a complete store, in order. */
static List *
missing_tables(const char *store)
{
	Oid schema = get_namespace_oid(store, true);
	List *missing = NIL;

	for (int i = 0; sierra_other_shapes[i] != NULL; i++)
	{
		Oid relid = get_relname_relid(sierra_other_shapes[i]->name, schema);

		if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION)
			missing = lappend(missing, (void *) sierra_other_shapes[i]->name);
	}
	list_sort(missing, compare_names);
	return missing;
}

Datum
sierra_missing_tables(PG_FUNCTION_ARGS)
{
	List *missing = missing_tables(NameStr(*PG_GETARG_NAME(0)));
	Datum *names = palloc(sizeof(Datum) * (list_length(missing) + 1));
	int count = 0;
	ListCell *cell;

	foreach (cell, missing)
		names[count++] = CStringGetTextDatum(lfirst(cell));
	PG_RETURN_ARRAYTYPE_P(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
sierra_find_store(PG_FUNCTION_ARGS)
{
	PG_RETURN_NAME(find_store(fcinfo));
}

Datum
sierra_require_store(PG_FUNCTION_ARGS)
{
	Name store = find_store(fcinfo);
	List *missing = missing_tables(NameStr(*store));
	StringInfoData names;
	ListCell *cell;

	if (missing == NIL)
		PG_RETURN_NAME(store);
	initStringInfo(&names);
	foreach (cell, missing)
		appendStringInfo(&names, "%s%s", names.len == 0 ? "" : ", ", (char *) lfirst(cell));
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("event store \"%s\" is not complete", NameStr(*store)),
			errdetail("Missing tables: %s.", names.data),
			errhint("Restore the schema from a dump, or name another store in "
					"\"sierra_es.store\"."));
	PG_RETURN_NAME(store);
}

Datum
sierra_can_become(PG_FUNCTION_ARGS)
{
	Oid member = PG_GETARG_OID(0);
	Oid role = PG_GETARG_OID(1);

	PG_RETURN_BOOL(sierra_role_exists(member) && sierra_role_exists(role) &&
				   sierra_compat_can_become(member, role));
}

/* The partition key that a stream has by default, that of its name. */
Datum
sierra_stream_key(PG_FUNCTION_ARGS)
{
	text *stream_id = PG_GETARG_TEXT_PP(0);
	pg_uuid_t *key = palloc(sizeof(pg_uuid_t));

	sierra_uuid_of_name(VARDATA_ANY(stream_id), VARSIZE_ANY_EXHDR(stream_id), key);
	PG_RETURN_UUID_P(key);
}

/* The partition key of a text: the UUID that it spells, or the UUID of the text as a name. */
Datum
sierra_partition_key(PG_FUNCTION_ARGS)
{
	pg_uuid_t *key = palloc(sizeof(pg_uuid_t));

	sierra_event_parse_key(PG_GETARG_TEXT_PP(0), key);
	PG_RETURN_UUID_P(key);
}

static int
get_partitions(FunctionCallInfo fcinfo, int arg)
{
	int partitions = PG_GETARG_INT32(arg);

	if (partitions < 1 || partitions > SIERRA_PARTITIONS_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a store has 1 to %d partitions", SIERRA_PARTITIONS_MAX),
				errdetail("The value is %d.", partitions));
	return partitions;
}

Datum
sierra_partition_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(sierra_uuid_partition(PG_GETARG_UUID_P(0), get_partitions(fcinfo, 1)));
}

/* A new event id for a partition key. */
Datum
sierra_event_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

	sierra_uuid_generate(GetCurrentTimestamp(), sierra_uuid_hash(PG_GETARG_UUID_P(0)), id, 1);
	PG_RETURN_UUID_P(id);
}

/* How a table of a store differs from what it has to be; a row for each difference. */
Datum
sierra_table_differences(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	const SierraTableShape *shape;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (rel == NULL)
		return (Datum) 0;
	shape = rel->rd_rel->relispartition ? &sierra_partition_shape
										: sierra_shape_of(RelationGetRelationName(rel));
	if (shape != NULL)
	{
		foreach (cell, sierra_shape_differences(rel, shape))
		{
			Datum value = CStringGetTextDatum(lfirst(cell));
			bool isnull = false;

			tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
		}
	}
	relation_close(rel, AccessShareLock);
	return (Datum) 0;
}

Datum
sierra_is_category_index_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(sierra_is_category_index(PG_GETARG_OID(0)));
}
