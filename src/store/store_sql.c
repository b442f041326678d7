/*
 * store_sql.c
 *		The guard of event tables, and the rules of routing as SQL functions.
 */
#include "postgres.h"

#include "append/insert.h"
#include "base/compat.h"
#include "base/errors.h"
#include "base/guc.h"
#include "base/routing.h"
#include "store/event.h"
#include "store/partition_lock.h"
#include "store/store.h"

#include "access/table.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(sierra_guard_events);
PG_FUNCTION_INFO_V1(sierra_current_store);
PG_FUNCTION_INFO_V1(sierra_stream_key);
PG_FUNCTION_INFO_V1(sierra_partition_key);
PG_FUNCTION_INFO_V1(sierra_partition_id);
PG_FUNCTION_INFO_V1(sierra_event_id);

static const char *
statement_name(TriggerEvent event)
{
	if (TRIGGER_FIRED_BY_INSERT(event))
		return "INSERT and COPY";
	if (TRIGGER_FIRED_BY_UPDATE(event))
		return "UPDATE";
	if (TRIGGER_FIRED_BY_DELETE(event))
		return "DELETE";
	return "TRUNCATE";
}

/*
 * Keeps appends out while rows are loaded, and makes every session compare the
 * sequence of positions with the events again before its next append.
 */
static void
begin_restore(Relation rel)
{
	Oid events = get_relname_relid("events", RelationGetNamespace(rel));
	Relation parent = table_open(events, AccessShareLock);
	PartitionDesc partitions = RelationGetPartitionDesc(parent, true);

	/* in the order of their bounds, as appends lock them */
	for (int i = 0; i < partitions->nparts; i++)
		(void) sierra_partition_lock(partitions->oids[i], SIERRA_LOCK_WRITE);
	table_close(parent, AccessShareLock);
	CacheInvalidateRelcacheByRelid(events);
}

/*
 * Rows may also come from the engine, from the initial copy of a logical
 * subscription, and from a dump that the owner restores.
 */
static bool
insert_is_sanctioned(Relation rel)
{
	Oid relid = RelationGetRelid(rel);

	if (sierra_insert_take_permit(relid) || IsLogicalWorker())
		return true;
	if (!sierra_guc_restore || !sierra_compat_owns_relation(relid, GetUserId()))
		return false;
	begin_restore(rel);
	return true;
}

/*
 * BEFORE statement trigger, ENABLE ALWAYS, on every table of a store: refuses
 * statements that would change events (SE006), for superusers too.
 */
Datum
sierra_guard_events(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool insert;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("sierra_guard_events() must be called as a statement trigger"));

	insert = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	if (insert && insert_is_sanctioned(trigger->tg_relation))
		PG_RETURN_POINTER(NULL);

	ereport(ERROR, errcode(ERRCODE_SIERRA_APPEND_ONLY),
			errmsg("table \"%s\" is append-only", RelationGetRelationName(trigger->tg_relation)),
			errdetail("%s would change events of store \"%s\" behind the append functions.",
					  statement_name(trigger->tg_event),
					  get_namespace_name(RelationGetNamespace(trigger->tg_relation))),
			insert ? errhint("Use eappend() or emappend(); to load a data-only dump, set "
							 "\"sierra_es.restore\" as the owner.")
				   : errhint("Append an event that corrects the earlier one."));
}

/* What sierra_es.store says; current_setting() fails before the library is loaded. */
Datum
sierra_current_store(PG_FUNCTION_ARGS)
{
	Name store = palloc0(sizeof(NameData));

	namestrcpy(store, sierra_guc_store);
	PG_RETURN_NAME(store);
}

/* The partition key that a stream has by its name. */
Datum
sierra_stream_key(PG_FUNCTION_ARGS)
{
	text *stream_id = PG_GETARG_TEXT_PP(0);
	pg_uuid_t *key = palloc(sizeof(pg_uuid_t));

	sierra_uuid_of_name(VARDATA_ANY(stream_id), VARSIZE_ANY_EXHDR(stream_id), key);
	PG_RETURN_UUID_P(key);
}

/* The partition key of a text: the UUID it spells, or that of the name. */
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

/* A fresh event id for a partition key. */
Datum
sierra_event_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

	sierra_uuid_generate(GetCurrentTimestamp(), sierra_uuid_hash(PG_GETARG_UUID_P(0)), id, 1);
	PG_RETURN_UUID_P(id);
}
