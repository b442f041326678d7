/*
 * store.c
 *		Stores: which relations make one, and who may use them.
 *
 * A session keeps what it found out about a store until one of its relations
 * or any schema changes.  The invalidation callbacks only mark; looking up
 * happens at the next call.
 */
#include "postgres.h"

#include "errors.h"
#include "event.h"
#include "guc.h"
#include "store.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
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
} StoreEntry;

static HTAB *stores = NULL;

/* Counts invalidations, so that one that arrives during a look-up is noticed. */
static uint64 changes = 0;

/* What every events table has; order and types as in event.h. */
static const struct
{
	const char *name;
	Oid type;
} event_columns[Natts_events] = {
	{"partition_sequence", INT8OID}, {"stream_version", INT8OID}, {"global_position", INT8OID},
	{"timestamp", TIMESTAMPTZOID},	 {"event_id", UUIDOID},		  {"partition_key", UUIDOID},
	{"transaction_id", UUIDOID},	 {"partition_id", INT4OID},	  {"stream_id", TEXTOID},
	{"event_name", TEXTOID},		 {"metadata", JSONOID},		  {"payload", JSONOID},
	{"payload_bytes", BYTEAOID},
};

static bool
store_uses_relation(const SierraStore *store, Oid relid)
{
	return relid == store->events || relid == store->stream_keys || relid == store->event_ids ||
		   relid == store->global_position;
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
			entry->valid = false;
	}
}

static void
schema_changed(Datum arg, int cacheid, uint32 hashvalue)
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
	CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, (Datum) 0);
}

void
sierra_store_report_missing(const char *name)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE), errmsg("no event store \"%s\"", name),
			errdetail("The setting \"sierra_es.store\" names the store that calls use."),
			errhint("Make it with SELECT create_event_store(%s), or set \"sierra_es.store\" to "
					"the name of another.",
					quote_literal_cstr(name)));
}

static void
report_damaged(const char *name, const char *relation)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("schema \"%s\" is no complete event store", name),
			errdetail("Relation \"%s\" is missing or has another shape.", relation),
			errhint("Restore the schema from a dump, or name another store in "
					"\"sierra_es.store\"."));
}

/*
 * Can rows be put into the partitions without the executor?  Not when the
 * events table has columns that only the executor can fill, rules, or statement
 * triggers besides our own guard.
 */
static bool
allows_plain_insert(Relation events)
{
	TupleDesc desc = RelationGetDescr(events);
	int statement_triggers = 0;

	if (desc->natts != Natts_events || events->rd_rules != NULL)
		return false;
	for (int i = 0; events->trigdesc != NULL && i < events->trigdesc->numtriggers; i++)
	{
		Trigger *trigger = &events->trigdesc->triggers[i];

		if (!TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_INSERT(trigger->tgtype))
			statement_triggers++;
	}
	return statement_triggers <= 1;
}

static bool
has_event_columns(TupleDesc desc)
{
	if (desc->natts < Natts_events)
		return false;
	for (int i = 0; i < Natts_events; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->atttypid != event_columns[i].type ||
			strcmp(NameStr(att->attname), event_columns[i].name) != 0)
			return false;
	}
	return true;
}

static Oid
companion(Oid schema, const char *store, const char *relation, char relkind)
{
	Oid relid = get_relname_relid(relation, schema);

	if (!OidIsValid(relid) || get_rel_relkind(relid) != relkind)
		report_damaged(store, relation);
	return relid;
}

/* Looks the store up in the catalogs; the result is in the current context. */
static SierraStore *
load_store(const char *name, Oid schema, Size *size)
{
	Oid events_relid = get_relname_relid("events", schema);
	Relation events;
	SierraStore *store;
	int partitions;

	if (!OidIsValid(events_relid) || get_rel_relkind(events_relid) != RELKIND_PARTITIONED_TABLE)
		sierra_store_report_missing(name);

	events = table_open(events_relid, AccessShareLock);
	if (!has_event_columns(RelationGetDescr(events)))
		report_damaged(name, "events");
	partitions = list_length(find_inheritance_children(events_relid, NoLock));
	if (partitions < 1 || partitions > SIERRA_PARTITIONS_MAX)
		report_damaged(name, "events");

	*size = offsetof(SierraStore, leaf) + sizeof(Oid) * partitions;
	store = palloc0(*size);
	namestrcpy(&store->name, name);
	store->schema = schema;
	store->events = events_relid;
	store->partitions = partitions;
	store->plain_insert = allows_plain_insert(events);
	store->stream_keys = companion(schema, name, "stream_keys", RELKIND_RELATION);
	store->event_ids = companion(schema, name, "event_ids", RELKIND_RELATION);
	store->global_position = companion(schema, name, "global_position", RELKIND_SEQUENCE);
	for (int i = 0; i < partitions; i++)
	{
		char leaf[NAMEDATALEN];

		snprintf(leaf, sizeof(leaf), "events_%d", i);
		store->leaf[i] = companion(schema, name, leaf, RELKIND_RELATION);
	}
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

static StoreEntry *
find_entry(const NameData *name)
{
	bool found;
	StoreEntry *entry = hash_search(stores, name, HASH_ENTER, &found);

	if (!found)
	{
		entry->valid = false;
		entry->position_checked = false;
		entry->store = NULL;
	}
	return entry;
}

static void
check_rights(const SierraStore *store, AclMode rights)
{
	AclResult result = pg_class_aclcheck(store->events, GetUserId(), rights);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE,
					   quote_qualified_identifier(NameStr(store->name), "events"));
}

SierraStore *
sierra_store_open(AclMode rights)
{
	NameData name;
	Oid schema;
	StoreEntry *entry;
	SierraStore *store;

	if (stores == NULL)
		create_cache();

	/* Applies pending invalidations too, and checks USAGE on the schema. */
	AcceptInvalidationMessages();
	namestrcpy(&name, sierra_guc_store);
	schema = LookupExplicitNamespace(NameStr(name), true);
	if (!OidIsValid(schema))
		sierra_store_report_missing(NameStr(name));

	entry = find_entry(&name);
	if (!entry->valid || entry->store->schema != schema)
		refresh_entry(entry, NameStr(name), schema);

	store = palloc(entry->size);
	memcpy(store, entry->store, entry->size);
	check_rights(store, rights);
	return store;
}

bool
sierra_store_has_row_security(const SierraStore *store)
{
	return check_enable_rls(store->events, InvalidOid, false) == RLS_ENABLED;
}

bool
sierra_store_position_checked(const SierraStore *store)
{
	return find_entry(&store->name)->position_checked;
}

void
sierra_store_set_position_checked(const SierraStore *store)
{
	StoreEntry *entry = find_entry(&store->name);

	if (entry->valid && entry->store->events == store->events)
		entry->position_checked = true;
}
