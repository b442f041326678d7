/*
 * store.c
 *		Stores: which relations a store consists of, and which roles may use it.
 *
 * A session keeps what it found out about a store until a relation of the store, or
 * any schema, changes.  The invalidation callbacks only mark the entry as not valid;
 * the next call looks the store up again.  Only the stores that were used last are kept.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/guc.h"
#include "store/early_release.h"
#include "store/event.h"
#include "store/guard.h"
#include "store/store.h"
#include "store/table_shape.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "storage/sinval.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

typedef struct StoreEntry
{
	NameData name; /* hash key */
	bool valid;
	bool position_checked;
	Size size;
	SierraStore *store; /* in CacheMemoryContext */
	dlist_node by_use;
} StoreEntry;

static HTAB *stores = NULL;
static dlist_head stores_by_use = DLIST_STATIC_INIT(stores_by_use); /* the last used first */

/* How many stores a session keeps. */
#define STORES_MAX 64

/* Counts invalidations, to notice one that arrives while a store is looked up. */
static uint64 changes = 0;

static bool
store_uses_relation(const SierraStore *store, Oid relid)
{
	return relid == store->events || relid == store->stream_keys || relid == store->event_ids ||
		   relid == store->event_tags || relid == store->global_position;
}

/* relid is InvalidOid for "everything".  A partition that goes changes events. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	StoreEntry *entry;

	changes++;
	hash_seq_init(&scan, stores);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!entry->valid)
			continue;
		if (relid == InvalidOid || store_uses_relation(entry->store, relid))
			entry->valid = entry->position_checked = false;
	}
}

uint64
sierra_store_relation_changes(void)
{
	return changes;
}

/* A schema, a sequence's settings or a subscription changed. */
static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed(arg, InvalidOid);
}

static void
create_cache(void)
{
	HASHCTL ctl = {0};

	ctl.keysize = sizeof(NameData);
	ctl.entrysize = sizeof(StoreEntry);
	ctl.hcxt = CacheMemoryContext;
	stores = hash_create("sierra_es stores", 8, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(SEQRELID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, catalog_changed, (Datum) 0);
}

void
sierra_store_report_missing(const char *name)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE), errmsg("no event store \"%s\"", name),
			errdetail("The setting \"sierra_es.store\" names the store that calls use."),
			errhint("Create it with SELECT create_event_store(%s), or set \"sierra_es.store\" to "
					"the name of another store.",
					quote_literal_cstr(name)));
}

static void
report_damaged(const char *name, const char *relation)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("event store \"%s\" is not complete", name),
			errdetail("Relation \"%s\" is missing or has another shape.", relation),
			errhint("Undo the change to it, restore the schema from a dump, or name another store "
					"in \"sierra_es.store\"."));
}

static void
report_unguarded(const char *name)
{
	ereport(
		ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
		errmsg("event store \"%s\" has lost its guard", name),
		errdetail("The trigger \"sierra_guard\" on table \"events\" protects events from "
				  "changes, and says how many partitions there are."),
		errhint("Attach all partitions, then create it again with SELECT guard_event_store(%s).",
				quote_literal_cstr(name)));
}

/*
 * Can rows be inserted into the partitions without the executor?  Not if the events
 * table has more columns, which only the executor can fill, or rules, or statement
 * triggers other than the guard.
 */
static bool
allows_plain_insert(Relation events, const Trigger *guard)
{
	if (RelationGetDescr(events)->natts != Natts_events || events->rd_rules != NULL)
		return false;
	for (int i = 0; i < events->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &events->trigdesc->triggers[i];

		if (trigger != guard && !TRIGGER_FOR_ROW(trigger->tgtype) &&
			TRIGGER_FOR_INSERT(trigger->tgtype))
			return false;
	}
	return true;
}

/* A companion table: exactly the columns of its shape. */
static Oid
load_companion(Oid schema, const char *store, const SierraTableShape *shape)
{
	Oid relid = get_relname_relid(shape->name, schema);
	Relation rel;

	if (!OidIsValid(relid))
		report_damaged(store, shape->name);
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
		sierra_store_report_missing(store);
	sierra_shape_check(rel, shape);
	relation_close(rel, AccessShareLock);
	return relid;
}

/*
 * The sequence of positions.  It must not cache: a session with cached values would
 * use a low position after other sessions have committed higher ones.
 */
static void
load_sequence(Oid schema, SierraStore *store)
{
	Oid relid = get_relname_relid("global_position", schema);
	HeapTuple tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(relid));
	bool fits = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_sequence form = (Form_pg_sequence) GETSTRUCT(tuple);

		fits = form->seqincrement == 1 && form->seqcache == 1 && !form->seqcycle;
		store->position_max = form->seqmax;
		ReleaseSysCache(tuple);
	}
	if (!fits)
		report_damaged(NameStr(store->name), "global_position");
	store->global_position = relid;
}

/*
 * Maps partition ids to tables.  It uses the bounds of the partitions, not their
 * names, because PostgreSQL routes rows by the bounds too.
 */
static void
load_partition_tables(Relation events, SierraStore *store)
{
	PartitionDesc desc = RelationGetPartitionDesc(events, true);
	PartitionBoundInfo bounds = desc->boundinfo;
	char *store_name = NameStr(store->name);

	if (desc->nparts != store->partitions || bounds->ndatums != store->partitions ||
		bounds->strategy != PARTITION_STRATEGY_LIST)
		report_damaged(store_name, "events");
	for (int i = 0; i < store->partitions; i++)
	{
		if (DatumGetInt32(bounds->datums[i][0]) != i)
			report_damaged(store_name, "events");
		store->partition_oids[i] = desc->oids[bounds->indexes[i]];
		if (get_rel_relkind(store->partition_oids[i]) != RELKIND_RELATION)
			report_damaged(store_name, get_rel_name(store->partition_oids[i]));
	}
}

/* Does a logical subscription of this database write to the store? */
static bool
is_subscribed(const SierraStore *store)
{
	Relation subscribed = table_open(SubscriptionRelRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(subscribed, 0, NULL);
	HeapTuple tuple;
	bool found = false;

	while (!found && (tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_subscription_rel row = (Form_pg_subscription_rel) GETSTRUCT(tuple);

		found = (row->srrelid == store->events);
		for (int i = 0; i < store->partitions && !found; i++)
			found = (row->srrelid == store->partition_oids[i]);
	}
	table_endscan(scan);
	table_close(subscribed, AccessShareLock);
	return found;
}

/* Reads the number of partitions from the guard; raises SE005 if it cannot. */
static int
load_partition_count(const char *name, const Trigger *guard)
{
	int partitions = guard != NULL && guard->tgnargs == 1 ? pg_strtoint32(guard->tgargs[0]) : 0;

	if (partitions < 1 || partitions > SIERRA_PARTITIONS_MAX)
		report_unguarded(name);
	return partitions;
}

/* Looks the store up in the catalogs; the result is in the current context. */
static SierraStore *
load_store(const char *name, Oid schema, Size *size)
{
	Oid events_relid = get_relname_relid("events", schema);
	Relation events;
	const Trigger *guard;
	SierraStore *store;
	int partitions;

	if (!OidIsValid(events_relid) || get_rel_relkind(events_relid) != RELKIND_PARTITIONED_TABLE)
		sierra_store_report_missing(name);

	events = try_relation_open(events_relid, AccessShareLock);
	if (events == NULL)
		sierra_store_report_missing(name);
	sierra_shape_check(events, &sierra_events_shape);
	guard = sierra_guard_find(events);
	partitions = load_partition_count(name, guard);

	*size = offsetof(SierraStore, partition_oids) + sizeof(Oid) * partitions;
	store = palloc0(*size);
	namestrcpy(&store->name, name);
	store->schema = schema;
	store->events = events_relid;
	store->partitions = partitions;
	store->plain_insert = allows_plain_insert(events, guard);
	store->stream_keys = load_companion(schema, name, &sierra_stream_keys_shape);
	store->event_ids = load_companion(schema, name, &sierra_event_ids_shape);
	store->event_tags = load_companion(schema, name, &sierra_event_tags_shape);
	load_sequence(schema, store);
	load_partition_tables(events, store);
	store->subscribed = is_subscribed(store);
	table_close(events, AccessShareLock);
	return store;
}

static void
refresh_entry(StoreEntry *entry, const char *name, Oid schema)
{
	uint64 changes_before = changes;
	Size size;
	SierraStore *found = load_store(name, schema, &size);
	SierraStore *kept = MemoryContextAlloc(CacheMemoryContext, size);

	memcpy(kept, found, size);
	if (entry->store != NULL)
		pfree(entry->store);
	entry->store = kept;
	entry->size = size;
	entry->position_checked = false;
	entry->valid = (changes == changes_before);
}

static void
forget(StoreEntry *entry)
{
	SierraStore *store = entry->store;

	dlist_delete(&entry->by_use);
	(void) hash_search(stores, &entry->name, HASH_REMOVE, NULL);
	if (store != NULL)
		pfree(store);
}

/* The entry of a store, or NULL.  Nearly always it is the one that was used last. */
static StoreEntry *
find_entry(const NameData *name)
{
	if (!dlist_is_empty(&stores_by_use))
	{
		StoreEntry *last = dlist_head_element(StoreEntry, by_use, &stores_by_use);

		if (memcmp(&last->name, name, sizeof(NameData)) == 0)
			return last;
	}
	return hash_search(stores, name, HASH_FIND, NULL);
}

/* The entry of a store, which may be a new one that is not valid. */
static StoreEntry *
use_entry(const NameData *name)
{
	StoreEntry *entry = find_entry(name);
	bool found;

	if (entry != NULL)
	{
		dlist_move_head(&stores_by_use, &entry->by_use);
		return entry;
	}
	if (hash_get_num_entries(stores) >= STORES_MAX)
		forget(dlist_tail_element(StoreEntry, by_use, &stores_by_use));
	entry = hash_search(stores, name, HASH_ENTER, &found);
	entry->valid = false;
	entry->position_checked = false;
	entry->store = NULL;
	dlist_push_head(&stores_by_use, &entry->by_use);
	return entry;
}

static void
check_rights(const SierraStore *store, AclMode rights)
{
	AclResult result;

	if (rights == ACL_NO_RIGHTS)
		return;
	result = pg_class_aclcheck(store->events, GetUserId(), rights);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE,
					   quote_qualified_identifier(NameStr(store->name), "events"));
}

/* The entry of a store that the current user has these rights on; it is up to date. */
static StoreEntry *
find_store(const NameData *name, AclMode rights)
{
	/* This also checks USAGE on the schema. */
	Oid schema = LookupExplicitNamespace(NameStr(*name), true);
	StoreEntry *entry;

	if (!OidIsValid(schema))
	{
		entry = find_entry(name);
		if (entry != NULL)
			forget(entry);
		sierra_store_report_missing(NameStr(*name));
	}
	entry = use_entry(name);
	if (!entry->valid || entry->store->schema != schema)
		refresh_entry(entry, NameStr(*name), schema);
	check_rights(entry->store, rights);
	return entry;
}

/*
 * The same for an append, which locks the events table too.  The lock may have to wait
 * for a statement that changes the store, so it is looked up again until nothing has
 * changed meanwhile, as RangeVarGetRelid() does.
 */
static StoreEntry *
find_and_lock_store(const NameData *name, AclMode rights, LOCKMODE mode)
{
	Oid locked = InvalidOid;

	for (;;)
	{
		uint64 messages = SharedInvalidMessageCounter;
		StoreEntry *entry = find_store(name, rights);
		Oid events = entry->store->events;

		if (events == locked)
			return entry;
		if (OidIsValid(locked))
			UnlockRelationOid(locked, mode);
		LockRelationOid(events, mode);
		locked = events;
		if (messages == SharedInvalidMessageCounter)
			return entry;
	}
}

SierraStore *
sierra_store_open(AclMode rights)
{
	return sierra_store_open_named(sierra_guc_store, rights);
}

/* Opens a store, locked in this mode. */
static SierraStore *
open_store(const char *store_name, AclMode rights, LOCKMODE mode)
{
	NameData name;
	StoreEntry *entry;
	SierraStore *store;

	if (stores == NULL)
		create_cache();

	AcceptInvalidationMessages();
	namestrcpy(&name, store_name);
	entry = mode == NoLock ? find_store(&name, rights) : find_and_lock_store(&name, rights, mode);
	store = palloc(entry->size);
	memcpy(store, entry->store, entry->size);
	return store;
}

SierraStore *
sierra_store_open_named(const char *store_name, AclMode rights)
{
	SierraStore *store;

	/* An append reads what others have not flushed, and its own flush includes that. */
	if ((rights & ACL_INSERT) != 0)
		return open_store(store_name, rights, RowExclusiveLock);
	store = open_store(store_name, rights, NoLock);
	sierra_flush_seen();
	return store;
}

/*
 * This mode conflicts with that of an append and with itself, but not with that of readers.
 * It is taken at once, and not after the other one: two calls that did so would
 * wait for each other.
 */
SierraStore *
sierra_store_open_alone(void)
{
	SierraStore *store;

	/* A standby refuses this lock with another error, and a reader must not wait for it. */
	PreventCommandDuringRecovery("an append");
	PreventCommandIfReadOnly("an append");
	store = open_store(sierra_guc_store, ACL_INSERT, ShareRowExclusiveLock);
	store->locked_alone = true;
	return store;
}

bool
sierra_store_is_kept(const char *store_name)
{
	NameData name;
	StoreEntry *entry;

	if (stores == NULL)
		return false;
	AcceptInvalidationMessages();
	namestrcpy(&name, store_name);
	entry = find_entry(&name);
	return entry != NULL && entry->valid &&
		   entry->store->schema == get_namespace_oid(store_name, true);
}

void
sierra_store_lock(const SierraStore *store)
{
	LockRelationOid(store->events, AccessShareLock);
}

void
sierra_store_unlock(const SierraStore *store)
{
	UnlockRelationOid(store->events, AccessShareLock);
}

Oid
sierra_store_table(const SierraStore *store, const char *table)
{
	Oid relid = get_relname_relid(table, store->schema);
	Relation rel = OidIsValid(relid) ? try_relation_open(relid, AccessShareLock) : NULL;

	if (rel == NULL)
		report_damaged(NameStr(store->name), table);
	sierra_shape_check(rel, sierra_shape_of(table));
	relation_close(rel, AccessShareLock);
	return relid;
}

bool
sierra_store_has_row_security(const SierraStore *store)
{
	return check_enable_rls(store->events, InvalidOid, false) == RLS_ENABLED;
}

bool
sierra_store_position_checked(const SierraStore *store)
{
	const StoreEntry *entry = find_entry(&store->name);

	return entry != NULL && entry->position_checked;
}

void
sierra_store_set_position_checked(const SierraStore *store)
{
	StoreEntry *entry = find_entry(&store->name);

	if (entry != NULL && entry->valid && entry->store->events == store->events)
		entry->position_checked = true;
}
