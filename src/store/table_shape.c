/*
 * table_shape.c
 *		What each table of a store looks like, and whether it still does.
 *
 * The descriptions are in store_tables.c.  Nothing that the owner of a store has
 * written is evaluated here: no expression of an index or of a partition key.
 */
#include "postgres.h"

#include "base/errors.h"
#include "store/event.h"
#include "store/table_shape.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

const SierraTableShape *
sierra_shape_of(const char *table)
{
	static const SierraTableShape *const core[] = {&sierra_events_shape, &sierra_stream_keys_shape,
												   &sierra_event_ids_shape,
												   &sierra_event_tags_shape};

	for (int i = 0; i < lengthof(core); i++)
	{
		if (strcmp(core[i]->name, table) == 0)
			return core[i];
	}
	for (int i = 0; sierra_other_shapes[i] != NULL; i++)
	{
		if (strcmp(sierra_other_shapes[i]->name, table) == 0)
			return sierra_other_shapes[i];
	}
	return NULL;
}

static bool
has_collation(Form_pg_attribute attribute, const SierraColumnShape *column)
{
	if (column->any_collation || !OidIsValid(attribute->attcollation))
		return true;
	return attribute->attcollation == C_COLLATION_OID;
}

/* A dropped column has no type. */
static bool
is_column(Form_pg_attribute attribute, const SierraColumnShape *column)
{
	return attribute->atttypid == column->type && has_collation(attribute, column) &&
		   strcmp(NameStr(attribute->attname), column->name) == 0;
}

/* Users may add columns behind ours where the shape says so; that of a dropped one may stay. */
static bool
has_only_these_columns(TupleDesc desc, const SierraTableShape *shape)
{
	return shape->more_columns || desc->natts == shape->column_count;
}

bool
sierra_shape_matches(TupleDesc desc, const SierraTableShape *shape)
{
	if (desc->natts < shape->column_count || !has_only_these_columns(desc, shape))
		return false;
	for (int i = 0; i < shape->column_count; i++)
	{
		if (!is_column(TupleDescAttr(desc, i), &shape->columns[i]))
			return false;
	}
	return true;
}

static bool
has_not_nulls(TupleDesc desc, const SierraTableShape *shape)
{
	for (int i = 0; i < shape->column_count; i++)
	{
		if (shape->columns[i].not_null && !TupleDescAttr(desc, i)->attnotnull)
			return false;
	}
	return true;
}

/*
 * Is a partitioned table partitioned by LIST (partition_id)?  The catalog is read,
 * since the relation cache evaluates the expressions of a partition key, which
 * can call functions that the owner has written.
 */
static bool
has_partition_key(Relation rel)
{
	HeapTuple tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(RelationGetRelid(rel)));
	Form_pg_partitioned_table form;
	bool fits;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	/* LIST has one column. */
	fits = form->partstrat == PARTITION_STRATEGY_LIST &&
		   form->partattrs.values[0] == Anum_events_partition_id;
	ReleaseSysCache(tuple);
	return fits;
}

bool
sierra_shape_has_columns(Relation rel, const SierraTableShape *shape)
{
	return rel->rd_rel->relkind == shape->relkind &&
		   (shape->relkind != RELKIND_PARTITIONED_TABLE || has_partition_key(rel)) &&
		   rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT &&
		   sierra_shape_matches(RelationGetDescr(rel), shape) &&
		   has_not_nulls(RelationGetDescr(rel), shape);
}

/* The operator family of the default btree operator class of a type. */
static Oid
default_family(Oid type)
{
	switch (type)
	{
		case INT4OID:
		case INT8OID:
			return INTEGER_BTREE_FAM_OID;
		case TEXTOID:
			return TEXT_BTREE_FAM_OID;
		default:
			return lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	}
}

bool
sierra_shape_is_index(Relation index, const SierraIndexShape *shape)
{
	Form_pg_index form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || !form->indisunique ||
		!form->indimmediate || form->indnatts != shape->count || form->indnkeyatts != shape->count)
		return false;
	/* RelationGetIndexPredicate() would evaluate functions that the owner has written. */
	if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < shape->count; i++)
	{
		/* Descending, or in another order of texts, it would not find the newest row. */
		if (form->indkey.values[i] != shape->columns[i] || index->rd_indoption[i] != 0 ||
			(OidIsValid(index->rd_indcollation[i]) && index->rd_indcollation[i] != C_COLLATION_OID))
			return false;
		if (index->rd_opfamily[i] != default_family(index->rd_opcintype[i]))
			return false;
	}
	return true;
}

/* Opens an index of the table that fits, or returns NULL. */
static Relation
find_index(Relation rel, const SierraIndexShape *shape, bool primary)
{
	List *indexes = RelationGetIndexList(rel);
	Relation found = NULL;
	ListCell *cell;

	/* The primary key is usually the one that is looked for first, and never one of the others. */
	if (primary && OidIsValid(rel->rd_pkindex))
	{
		found = index_open(rel->rd_pkindex, AccessShareLock);
		if (sierra_shape_is_index(found, shape))
		{
			list_free(indexes);
			return found;
		}
		index_close(found, AccessShareLock);
		found = NULL;
	}
	foreach (cell, indexes)
	{
		if (lfirst_oid(cell) == rel->rd_pkindex)
			continue;
		found = index_open(lfirst_oid(cell), AccessShareLock);
		if (sierra_shape_is_index(found, shape))
			break;
		index_close(found, AccessShareLock);
		found = NULL;
	}
	list_free(indexes);
	return found;
}

static char *
describe_index(Relation rel, const SierraTableShape *shape, int place)
{
	const SierraIndexShape *index = &shape->indexes[place];
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < index->count; i++)
		appendStringInfo(&columns, "%s%s", i == 0 ? "" : ", ",
						 shape->columns[index->columns[i] - 1].name);
	return psprintf("Table \"%s\" has no valid unique index on (%s).", RelationGetRelationName(rel),
					columns.data);
}

/* What is wrong with a column, or NULL. */
static char *
describe_column(Relation rel, int i, const SierraColumnShape *column)
{
	TupleDesc desc = RelationGetDescr(rel);
	const char *table = RelationGetRelationName(rel);
	Form_pg_attribute attribute;

	if (i >= desc->natts)
		return psprintf("Table \"%s\" has no column \"%s\".", table, column->name);
	attribute = TupleDescAttr(desc, i);
	if (attribute->attisdropped || strcmp(NameStr(attribute->attname), column->name) != 0)
		return psprintf("Column %d of table \"%s\" is not \"%s\".", i + 1, table, column->name);
	if (attribute->atttypid != column->type)
		return psprintf("Column \"%s\" of table \"%s\" has type %s, not %s.", column->name, table,
						format_type_be(attribute->atttypid), format_type_be(column->type));
	if (column->not_null && !attribute->attnotnull)
		return psprintf("Column \"%s\" of table \"%s\" can be null.", column->name, table);
	if (!has_collation(attribute, column))
		return psprintf("Column \"%s\" of table \"%s\" does not have collation \"C\".",
						column->name, table);
	return NULL;
}

/* What is wrong with the table itself, or NULL. */
static char *
describe_relation(Relation rel, const SierraTableShape *shape)
{
	const char *table = RelationGetRelationName(rel);

	if (rel->rd_rel->relkind != shape->relkind)
		return psprintf("Relation \"%s\" is not %s.", table,
						shape->relkind == RELKIND_RELATION ? "an ordinary table"
														   : "a partitioned table");
	if (rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		return psprintf("Table \"%s\" is unlogged: a crash would empty it.", table);
	if (shape->relkind == RELKIND_PARTITIONED_TABLE && !has_partition_key(rel))
		return psprintf("Table \"%s\" is not partitioned by list (partition_id).", table);
	if (!has_only_these_columns(RelationGetDescr(rel), shape))
		return psprintf("Table \"%s\" has more than %d columns.", table, shape->column_count);
	return NULL;
}

static List *
add_difference(List *differences, char *difference)
{
	return difference == NULL ? differences : lappend(differences, difference);
}

List *
sierra_shape_differences(Relation rel, const SierraTableShape *shape)
{
	List *differences = add_difference(NIL, describe_relation(rel, shape));

	for (int i = 0; i < shape->column_count; i++)
		differences = add_difference(differences, describe_column(rel, i, &shape->columns[i]));
	for (int i = 0; i < shape->index_count && rel->rd_rel->relkind == RELKIND_RELATION; i++)
	{
		Relation index = find_index(rel, &shape->indexes[i], i == 0);

		if (index == NULL)
			differences = add_difference(differences, describe_index(rel, shape, i));
		else
			index_close(index, AccessShareLock);
	}
	return differences;
}

static void
report_difference(Relation rel, const char *difference)
{
	char *store = get_namespace_name(RelationGetNamespace(rel));

	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("event store \"%s\" is not complete", store == NULL ? "" : store),
			errdetail("%s", difference),
			errhint("Undo the change to it, restore the schema from a dump, or name another store "
					"in \"sierra_es.store\"; everify() lists all differences."));
}

void
sierra_shape_check(Relation rel, const SierraTableShape *shape)
{
	char *difference;

	if (likely(sierra_shape_has_columns(rel, shape)))
		return;
	difference = describe_relation(rel, shape);
	for (int i = 0; i < shape->column_count && difference == NULL; i++)
		difference = describe_column(rel, i, &shape->columns[i]);
	report_difference(rel, difference);
}

Relation
sierra_shape_open_index(Relation rel, const SierraTableShape *shape, int place)
{
	Relation index = find_index(rel, &shape->indexes[place], place == 0);

	if (index == NULL)
		sierra_shape_report_index(rel, shape, place);
	return index;
}

void
sierra_shape_report_index(Relation rel, const SierraTableShape *shape, int place)
{
	report_difference(rel, describe_index(rel, shape, place));
}
