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
#include "store/early_release.h"
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

/* A restore that left out the row of a projection can have kept its trigger. */
static void
report_no_row(const SierraStore *store, const Trigger *trigger)
{
	const char *events = quote_qualified_identifier(NameStr(store->name), "events");

	ereport(
		ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
		errmsg("inline projection \"%s\" is not defined", trigger->tgargs[0]),
		errdetail("The trigger \"%s\" gives it each event, but table %s.projections has no live "
				  "row of it.",
				  trigger->tgname, NameStr(store->name)),
		errhint("Load its row, or drop its trigger with DROP TRIGGER %s ON %s.",
				quote_identifier(trigger->tgname), events));
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
	SierraStore *store;
	MemoryContext old;

	if (fcinfo->flinfo->fn_extra == NULL)
	{
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		store = find_store(trigger);
		fcinfo->flinfo->fn_extra =
			sierra_projection_find(store, cstring_to_text(trigger->tg_trigger->tgargs[0]), 0,
								   ACL_NO_RIGHTS, SIERRA_PROJECTION_KEY_SHARE);
		MemoryContextSwitchTo(old);
		if (fcinfo->flinfo->fn_extra == NULL)
			report_no_row(store, trigger->tg_trigger);
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

/* The projection of a trigger, entered; NULL if it does not want the event. */
static SierraProjection *
find_and_enter(FunctionCallInfo fcinfo)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	SierraProjection *projection = find_of_trigger(fcinfo);

	if (projection->subscription != NULL)
		return NULL; /* it gets its events from the subscription */
	if (!sierra_filter_passes(&projection->streams, &projection->event_names,
							  trigger->tg_trigslot) ||
		!sierra_filter_passes_tags(&projection->tags, trigger->tg_trigslot))
		return NULL;
	enter_of_trigger(fcinfo, projection);
	return projection;
}

/*
 * Called if an inline projection cannot run, whatever the event is: its owner, handler or
 * key is gone or forbidden.  That refuses all appends, so the error says how to continue.
 */
static void
rethrow_with_hint(FunctionCallInfo fcinfo, MemoryContext context)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (error->hint != NULL ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
		PG_RE_THROW();
	FlushErrorState();
	error->hint =
		psprintf("Appends are refused until the inline projection \"%s\" can run: fix it, "
				 "or drop it with drop_projection().",
				 trigger->tg_trigger->tgargs[0]);
	ReThrowError(error);
}

static SierraProjection *
enter(FunctionCallInfo fcinfo)
{
	MemoryContext context = CurrentMemoryContext;
	SierraProjection *volatile projection = NULL;

	PG_TRY();
	{
		projection = find_and_enter(fcinfo);
	}
	PG_CATCH();
	{
		rethrow_with_hint(fcinfo, context);
	}
	PG_END_TRY();
	return projection;
}

/* An error of the handler can be about states that other transactions have not flushed. */
static void
handle(SierraProjection *projection, const SierraBatch *part)
{
	PG_TRY();
	{
		sierra_project_shared(projection, part);
	}
	PG_CATCH();
	{
		sierra_flush_seen();
		PG_RE_THROW();
	}
	PG_END_TRY();
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
	projection = enter(fcinfo);
	if (projection == NULL)
		return PointerGetDatum(NULL);
	sierra_event_values(trigger->tg_trigslot, values, nulls);
	sierra_batch_single(&batch, projection, values, nulls);
	PushActiveSnapshot(GetTransactionSnapshot());
	part = sierra_batch_part(projection, &batch, 0, 1);
	handle(projection, &part);
	PopActiveSnapshot();
	sierra_projection_leave(projection);
	return PointerGetDatum(NULL);
}
