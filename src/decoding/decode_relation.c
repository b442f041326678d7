/*
 * decode_relation.c
 *		Which tables are partitions of stores, while WAL is decoded.
 *
 * Decoding sees the catalogs as they were at the time of the change, and may
 * read nothing else.  So a store is recognised by its shape: a partitioned
 * table "events" with the columns of a store.  The guard does not count: when a
 * dump is restored, the events are loaded before the triggers are created.
 *
 * What is found is kept until an invalidation, which decoding replays along
 * with the changes.  It is not kept from one decoding to the next: in between,
 * nobody replays the invalidations.
 */
#include "postgres.h"

#include "decoding/decode_relation.h"
#include "store/table_shape.h"

#include "catalog/partition.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* NULL while this process decodes nothing. */
static HTAB *relations = NULL;

/* relid is InvalidOid if all tables may have changed. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	SierraDecodeRelation *entry;

	if (relations == NULL)
		return;
	hash_seq_init(&scan, relations);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (relid == InvalidOid || relid == entry->relid || relid == entry->parent)
			entry->valid = false;
	}
}

/* A schema was renamed. */
static void
schema_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed(arg, InvalidOid);
}

/* The table is freed with its memory context, also when an error ends the decoding. */
static void
forget_relations(void *arg)
{
	if (relations == arg)
		relations = NULL;
}

void
sierra_decode_relations_begin(MemoryContext context)
{
	static bool registered = false;
	HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(SierraDecodeRelation)};
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));

	if (!registered)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, (Datum) 0);
		registered = true;
	}
	ctl.hcxt = context;
	relations =
		hash_create("sierra_es decoded tables", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	callback->func = forget_relations;
	callback->arg = relations;
	MemoryContextRegisterResetCallback(context, callback);
}

/* If the parent is the events table of a store, fills the entry and returns true. */
static bool
fill_from_parent(SierraDecodeRelation *entry, Relation relation, Relation parent)
{
	char *schema;

	if (strcmp(RelationGetRelationName(parent), "events") != 0 ||
		parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
		!sierra_shape_matches(RelationGetDescr(parent), &sierra_events_shape))
		return false;
	schema = get_namespace_name(RelationGetNamespace(parent));
	if (schema == NULL)
		return false;
	namestrcpy(&entry->store, schema);
	pfree(schema);

	/* A partition has all columns of its parent, but maybe in another order. */
	for (int i = 0; i < Natts_events; i++)
		entry->column[i] = attnameAttNum(
			relation, NameStr(TupleDescAttr(RelationGetDescr(parent), i)->attname), false);
	return true;
}

static void
refresh_entry(SierraDecodeRelation *entry, Relation relation)
{
	Relation parent;

	/* Set first: an invalidation during the look-up must mark the entry as invalid again. */
	entry->valid = true;
	entry->is_events = false;
	entry->parent = InvalidOid;
	if (!relation->rd_rel->relispartition)
		return;
	entry->parent = get_partition_parent(entry->relid, true);
	parent = RelationIdGetRelation(entry->parent);
	if (parent == NULL)
		return;
	entry->is_events = fill_from_parent(entry, relation, parent);
	RelationClose(parent);
}

const SierraDecodeRelation *
sierra_decode_relation(Relation relation)
{
	Oid relid = RelationGetRelid(relation);
	bool found;
	SierraDecodeRelation *entry = hash_search(relations, &relid, HASH_ENTER, &found);

	if (!found)
	{
		entry->valid = false;
		entry->parent = InvalidOid;
	}
	if (!entry->valid)
		refresh_entry(entry, relation);
	return entry;
}
