/*
 * complete.c
 *		Whether a store has everything that it needs to run jobs.
 *
 * pg_restore makes tables first, loads rows, and then makes keys and triggers, with
 * --jobs in any order.  A store is known by the guard of its events, which can be there
 * before the keys of its other tables.
 */
#include "postgres.h"

#include "store/complete.h"
#include "store/scan.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "nodes/pg_list.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The schemas of stores that were complete, until a relation changes. */
static List *complete = NIL;
static bool relations_changed = true;
static bool is_registered = false;

static void
note_change_of_relation(Datum arg, Oid relid)
{
	relations_changed = true;
}

static void
check_keys(Relation rel, const SierraTableShape *shape)
{
	for (int i = 0; i < shape->index_count; i++)
		index_close(sierra_shape_open_index(rel, shape, i), AccessShareLock);
}

static void
check_table(const SierraStore *store, const SierraTableShape *shape)
{
	/* This checks its columns. */
	Relation rel = relation_open(sierra_store_table(store, shape->name), AccessShareLock);

	check_keys(rel, shape);
	relation_close(rel, AccessShareLock);
}

static void
check_all(const SierraStore *store)
{
	check_table(store, &sierra_stream_keys_shape);
	check_table(store, &sierra_event_ids_shape);
	for (int i = 0; sierra_other_shapes[i] != NULL; i++)
		check_table(store, sierra_other_shapes[i]);
	for (int i = 0; i < store->partitions; i++)
	{
		Relation rel = sierra_scan_open_partition(store, i, AccessShareLock);

		check_keys(rel, &sierra_partition_shape);
		relation_close(rel, AccessShareLock);
	}
}

void
sierra_store_check_complete(const SierraStore *store)
{
	MemoryContext context;

	if (!is_registered)
		CacheRegisterRelcacheCallback(note_change_of_relation, (Datum) 0);
	is_registered = true;
	if (relations_changed)
	{
		list_free(complete);
		complete = NIL;
	}
	else if (list_member_oid(complete, store->schema))
		return;

	/* A change that arrives meanwhile sets it again. */
	relations_changed = false;
	sierra_store_lock(store);
	check_all(store);
	sierra_store_unlock(store);
	context = MemoryContextSwitchTo(TopMemoryContext);
	complete = lappend_oid(complete, store->schema);
	MemoryContextSwitchTo(context);
}
