/*
 * look_lock.c
 *		Locks of a runner that looks at a store: it takes only those that are free.
 *
 * A runner looks at the stores of all owners, one after another.  If it waited for a
 * lock, the owner of one store could keep it from all others with an open transaction.
 * So each lock is taken first, without waiting; whoever opens the relation then has it.
 */
#include "postgres.h"

#include "worker/look_lock.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

static bool
lock(Oid relid)
{
	return !OidIsValid(relid) || ConditionalLockRelationOid(relid, AccessShareLock);
}

static bool
lock_each(const List *relids)
{
	ListCell *cell;

	foreach (cell, relids)
	{
		CHECK_FOR_INTERRUPTS();
		if (!lock(lfirst_oid(cell)))
			return false;
	}
	return true;
}

/* A table with its indexes, or with its primary key only. */
static bool
lock_with_indexes(Oid table, bool only_primary)
{
	Relation rel;
	List *indexes;
	bool locked;

	if (!lock(table))
		return false;
	rel = OidIsValid(table) ? try_relation_open(table, NoLock) : NULL;
	if (rel == NULL)
		return true;
	indexes = RelationGetIndexList(rel);
	if (only_primary && OidIsValid(rel->rd_pkindex))
		locked = lock(rel->rd_pkindex);
	else
		locked = lock_each(indexes);
	list_free(indexes);
	relation_close(rel, NoLock);
	return locked;
}

bool
sierra_look_lock_store(Oid schema)
{
	static const char *const names[] = {"events", "stream_keys", "event_ids", "event_tags",
										"global_position"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (!lock(get_relname_relid(names[i], schema)))
			return false;
	}
	return true;
}

/* The newest events are found by the primary key. */
bool
sierra_look_lock_partitions(const SierraStore *store)
{
	for (int i = 0; i < store->partitions; i++)
	{
		if (!lock_with_indexes(store->partition_oids[i], true))
			return false;
	}
	return true;
}

bool
sierra_look_lock_jobs(Oid schema)
{
	static const char *const names[] = {"timers", "saga_instances", "sagas", "projections",
										"subscription_streams"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (!lock_with_indexes(get_relname_relid(names[i], schema), false))
			return false;
	}
	return sierra_look_lock_store(schema);
}
