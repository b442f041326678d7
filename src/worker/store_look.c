/*
 * store_look.c
 *		Looks at one store: how many events it has, and up to where they can be read.
 *
 * A runner has the rights of a superuser, but the owner of a store decides what is in
 * it.  Something that only looks like a store can have code in partition keys and
 * index expressions, which runs as soon as the table is opened.  So the runner looks as
 * the owner, in a security-restricted operation, as autovacuum does.
 *
 * An owner must not delay the runner with a lock either: it takes locks only if they
 * are free (look_lock.c), and looks again later otherwise.
 */
#include "postgres.h"

#include "base/subtransaction.h"
#include "read/horizon.h"
#include "store/event.h"
#include "store/run_as.h"
#include "store/scan.h"
#include "store/time_limit.h"
#include "worker/look_lock.h"
#include "worker/store_look.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static bool
look_as_owner(SierraStoreLook *look)
{
	SierraStore *store = sierra_store_open_named(look->name, ACL_SELECT);
	SierraReadPartition *partition = palloc(sizeof(SierraReadPartition) * store->partitions);
	SierraReadPartition **partitions = palloc(sizeof(SierraReadPartition *) * store->partitions);

	if (!sierra_look_lock_partitions(store))
		return false;
	for (int i = 0; i < store->partitions; i++)
	{
		partitions[i] = &partition[i];
		partition[i].rel = sierra_scan_open_partition(store, i, NoLock);
		partition[i].sequence_index =
			sierra_scan_open_index(partition[i].rel, SIERRA_INDEX_SEQUENCE);
		if (store->subscribed)
			(void) sierra_scan_newest(partition[i].rel, partition[i].sequence_index,
									  GetActiveSnapshot(), &partition[i].sequence,
									  &partition[i].position);
	}
	look->readable = PG_INT64_MAX;
	if (!store->subscribed)
		look->readable = sierra_horizon(store, partitions, store->partitions, SIERRA_NONE);

	look->position = SIERRA_NONE;
	look->events = 0;
	for (int i = 0; i < store->partitions; i++)
	{
		look->position = Max(look->position, partition[i].position);
		look->events += partition[i].sequence + 1;
		relation_close(partition[i].sequence_index, NoLock);
		relation_close(partition[i].rel, NoLock);
	}
	/* Positions above the newest event were rolled back, so there is nothing to read. */
	look->readable = Min(look->readable, look->position);
	return true;
}

/* False if the store cannot be looked at now, since it is locked or gone. */
static bool
look_at_schema(Oid schema, SierraStoreLook *look)
{
	Oid owner;

	if (!sierra_look_lock_store(schema))
		return false;
	owner = sierra_run_as_store_owner(schema);
	if (!OidIsValid(owner))
		return false;
	SetUserIdAndSecContext(owner, SECURITY_RESTRICTED_OPERATION);
	return look_as_owner(look);
}

typedef struct Looking
{
	Oid schema;
	SierraStoreLook *look;
	bool done;
} Looking;

static void
look_at_schema_of(void *arg)
{
	Looking *looking = arg;

	looking->done = look_at_schema(looking->schema, looking->look);
}

bool
sierra_look_at_store(Oid schema, SierraStoreLook *look, bool limited, ErrorData **error)
{
	char *name = get_namespace_name(schema);
	Looking looking = {.schema = schema};
	ErrorData *raised;

	looking.look = look;
	strlcpy(look->name, name != NULL ? name : "", NAMEDATALEN);
	if (name == NULL)
		return false;
	/* It is always rolled back, which releases the locks and resets the current user. */
	raised = sierra_subtransaction(look_at_schema_of, &looking, false);
	if (raised == NULL)
		return looking.done;
	*error = raised;
	if (!(limited && sierra_time_limit_take(raised)) &&
		(raised->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		 raised->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(raised);
	return false;
}
