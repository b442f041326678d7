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
#include "storage/lmgr.h"
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

/* Locks a table; false if that would have to wait, as for VACUUM FULL. */
static bool
lock_now(Oid relid)
{
	return !OidIsValid(relid) || ConditionalLockRelationOid(relid, AccessShareLock);
}

static bool
check_table(const SierraStore *store, const SierraTableShape *shape)
{
	Oid relid = get_relname_relid(shape->name, store->schema);
	Relation rel;

	if (!lock_now(relid))
		return false;
	/* This checks its columns. */
	rel = relation_open(sierra_store_table(store, shape->name), NoLock);
	check_keys(rel, shape);
	relation_close(rel, AccessShareLock);
	return true;
}

static bool
check_partition(const SierraStore *store, int id)
{
	Relation rel;

	if (!lock_now(store->partition_oids[id]))
		return false;
	rel = sierra_scan_open_partition(store, id, NoLock);
	check_keys(rel, &sierra_partition_shape);
	relation_close(rel, AccessShareLock);
	return true;
}

/*
 * False if a table was locked, and so not checked.  It will have its key by the time that
 * it can be used, if ALTER TABLE has locked it for that.
 */
static bool
check_all(const SierraStore *store)
{
	bool all = check_table(store, &sierra_stream_keys_shape);

	all &= check_table(store, &sierra_event_ids_shape);
	all &= check_table(store, &sierra_event_tags_shape);
	for (int i = 0; sierra_other_shapes[i] != NULL; i++)
		all &= check_table(store, sierra_other_shapes[i]);
	for (int i = 0; i < store->partitions; i++)
		all &= check_partition(store, i);
	return all;
}

void
sierra_store_check_complete(const SierraStore *store)
{
	MemoryContext context;
	bool all;

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

	/* The events table before its partitions; see sierra_store_lock(). */
	if (!lock_now(store->events))
		return;
	/* A change that arrives meanwhile sets it again. */
	relations_changed = false;
	all = check_all(store);
	sierra_store_unlock(store);
	if (!all)
		return;
	context = MemoryContextSwitchTo(TopMemoryContext);
	complete = lappend_oid(complete, store->schema);
	MemoryContextSwitchTo(context);
}
