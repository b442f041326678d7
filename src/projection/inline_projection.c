/*
 * inline_projection.c
 *		Inline projections: a trigger on the events table calls the handler for each
 *		event, in the transaction of the append.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "projection/handler.h"
#include "projection/projection.h"
#include "store/event.h"
#include "store/extension.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(sierra_project_inline);

/* The store of a partition that a trigger fires for. */
static SierraStore *
find_store(const TriggerData *trigger)
{
	Relation rel = trigger->tg_relation;
	char *schema = get_namespace_name(RelationGetNamespace(rel));
	SierraStore *store = sierra_store_open_named(schema, ACL_INSERT);

	for (int i = 0; i < store->partitions; i++)
	{
		if (store->partition_oids[i] == RelationGetRelid(rel))
			return store;
	}
	ereport(
		ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
		errmsg("table \"%s\" is not a partition of an event store", RelationGetRelationName(rel)));
}

static void
check_trigger(FunctionCallInfo fcinfo)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		trigger->tg_trigger->tgnargs != 1)
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("project_inline() is for triggers that create_projection() makes"));
}

/*
 * The projection of a trigger, looked up once for all rows of an append.  What
 * makes another version of it live, or drops it, waits until appends in flight
 * have ended; see make_projection_inline().
 */
static SierraProjection *
find_of_trigger(FunctionCallInfo fcinfo)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	MemoryContext old;

	if (fcinfo->flinfo->fn_extra == NULL)
	{
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = sierra_projection_open(
			find_store(trigger), cstring_to_text(trigger->tg_trigger->tgargs[0]), 0, ACL_NO_RIGHTS,
			SIERRA_PROJECTION_KEY_SHARE);
		MemoryContextSwitchTo(old);
	}
	return fcinfo->flinfo->fn_extra;
}

static void
enter_of_trigger(FunctionCallInfo fcinfo, SierraProjection *projection)
{
	MemoryContext old = CurrentMemoryContext;

	/* What the first call looks up has to last for all calls of the append. */
	if (!projection->upcasters_loaded)
		MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	sierra_projection_enter(projection, sierra_extension_event_type());
	MemoryContextSwitchTo(old);
}

/*
 * Trigger function for AFTER INSERT FOR EACH ROW on events; its argument is the
 * name of the projection.  Events that a dump restores are left out, since the
 * dump contains their states too.  Only the owner of the table can do that:
 * nobody else can avoid a projection with the setting sierra_es.restore.
 */
Datum
sierra_project_inline(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	SierraProjection *projection;
	SierraBatch batch;
	SierraBatch part;
	Datum values[Natts_events];
	bool nulls[Natts_events];

	check_trigger(fcinfo);
	if (sierra_guc_restore &&
		sierra_compat_owns_relation(RelationGetRelid(trigger->tg_relation), GetUserId()))
		return PointerGetDatum(NULL);
	projection = find_of_trigger(fcinfo);
	if (projection->subscription != NULL)
		return PointerGetDatum(NULL); /* it gets its events from the subscription */
	if (!sierra_filter_passes(&projection->streams, &projection->event_names, trigger->tg_trigslot))
		return PointerGetDatum(NULL);
	sierra_event_values(trigger->tg_trigslot, values, nulls);
	enter_of_trigger(fcinfo, projection);
	sierra_batch_single(&batch, projection, values, nulls);
	PushActiveSnapshot(GetTransactionSnapshot());
	part = sierra_batch_part(projection, &batch, 0, 1);
	sierra_project_shared(projection, &part);
	PopActiveSnapshot();
	sierra_projection_leave(projection);
	return PointerGetDatum(NULL);
}
