/*
 * guard.c
 *		The guard of event tables: a trigger that lets only the engine write them.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/guc.h"
#include "store/guard.h"
#include "store/partition_lock.h"

#include "access/table.h"
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
 * The table that an INSERT of our own, under way in this (sub)transaction, may
 * pass the guard of.  A permit that an error left behind dies with its
 * (sub)transaction.
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

/* True once after the engine announced an INSERT of its own into this table. */
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
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		char *function;

		if (TRIGGER_FOR_ROW(trigger->tgtype) || !TRIGGER_FOR_INSERT(trigger->tgtype))
			continue;
		function = get_func_name(trigger->tgfoid);
		if (function != NULL && strcmp(function, "sierra_guard_events") == 0)
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
