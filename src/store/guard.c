/*
 * guard.c
 *		The guard of event tables: a trigger that lets only the append functions write
 *		to them.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/guc.h"
#include "store/extension.h"
#include "store/guard.h"
#include "store/partition_lock.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "replication/logicalworker.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(sierra_guard_events);

/*
 * The table whose guard accepts an INSERT of our own in this (sub)transaction.  A
 * permit that is left after an error is void, because its (sub)transaction has
 * ended.
 */
static struct
{
	Oid relation;
	LocalTransactionId transaction;
	SubTransactionId subtransaction;
} permit;

void
sierra_guard_give_permit(Oid relation)
{
	permit.relation = relation;
	permit.transaction = sierra_compat_local_transaction_id();
	permit.subtransaction = GetCurrentSubTransactionId();
}

void
sierra_guard_withdraw_permit(void)
{
	permit.relation = InvalidOid;
}

/* Uses up the permit; true if there was one for this table. */
static bool
take_permit(Oid relation)
{
	bool permitted = permit.relation == relation &&
					 permit.transaction == sierra_compat_local_transaction_id() &&
					 permit.subtransaction == GetCurrentSubTransactionId();

	sierra_guard_withdraw_permit();
	return permitted;
}

const Trigger *
sierra_guard_find(Relation rel)
{
	Oid guard = sierra_extension_guard();

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (OidIsValid(guard) && trigger->tgfoid == guard && !TRIGGER_FOR_ROW(trigger->tgtype) &&
			TRIGGER_FOR_INSERT(trigger->tgtype))
			return trigger;
	}
	return NULL;
}

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
 * Locks all partitions, so that nothing appends while rows are loaded, and makes
 * every session compare the sequence of positions with the events again before its
 * next append.
 */
static void
begin_restore(Relation rel)
{
	Oid events = get_relname_relid("events", RelationGetNamespace(rel));
	Relation parent = OidIsValid(events) ? try_relation_open(events, AccessShareLock) : NULL;
	PartitionDesc partitions;

	if (parent == NULL)
		ereport(
			ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("table \"%s\" does not belong to an event store", RelationGetRelationName(rel)),
			errhint("Drop its trigger, or move the table back to the schema of its store."));
	sierra_shape_check(parent, &sierra_events_shape);
	partitions = RelationGetPartitionDesc(parent, true);
	/* in the order of their bounds, which is the order in which appends lock them */
	for (int i = 0; i < partitions->nparts; i++)
		sierra_partition_lock(partitions->oids[i], SIERRA_LOCK_WRITE);
	relation_close(parent, AccessShareLock);
	CacheInvalidateRelcacheByRelid(events);
}

/*
 * An INSERT is allowed if it is our own, if logical replication does it (the
 * initial copy of a table), or if the owner restores a dump.
 */
static bool
insert_is_allowed(Relation rel)
{
	Oid relid = RelationGetRelid(rel);

	if (take_permit(relid) || IsLogicalWorker())
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
				errmsg("guard_events() must be called as a statement trigger"));

	insert = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	if (insert && insert_is_allowed(trigger->tg_relation))
		PG_RETURN_POINTER(NULL);

	ereport(ERROR, errcode(ERRCODE_SIERRA_APPEND_ONLY),
			errmsg("table \"%s\" is append-only", RelationGetRelationName(trigger->tg_relation)),
			errdetail("%s would change events of store \"%s\" without the append functions.",
					  statement_name(trigger->tg_event),
					  get_namespace_name(RelationGetNamespace(trigger->tg_relation))),
			insert ? errhint("Use eappend() or emappend(); to load a data-only dump, set "
							 "\"sierra_es.restore\" as the owner.")
				   : errhint("Append an event that corrects the earlier one."));
}
