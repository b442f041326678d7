/*
 * saga.c
 *		Runs sagas as the owner of their definition.
 *
 * saga_step.c calls actions, and advance_saga() in SQL does what else a saga needs.
 * This file decides with whose rights they run; run_as.c says why that gives nobody
 * additional rights.  The row of an instance names a definition, but roles that
 * may run sagas can change that row.  So nothing is run unless the saga's
 * stream names the same definition.
 */
#include "postgres.h"

#include "saga/saga.h"
#include "saga/saga_step.h"
#include "store/extension.h"
#include "store/in_progress.h"
#include "store/query.h"
#include "store/run_as.h"
#include "store/time_limit.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

static const SierraQuery find_query = {
	"SELECT i.saga, i.version, d.owner::pg_catalog.oid FROM %1$s.saga_instances AS i"
	" JOIN %1$s.sagas AS d ON d.saga OPERATOR(pg_catalog.=) i.saga"
	" AND d.version OPERATOR(pg_catalog.=) i.version"
	" WHERE i.saga_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE OF i",
	1,
	{TEXTOID}};

/* The definition of an instance, and the owner of the definition. */
typedef struct Found
{
	text *saga;
	int32 version;
	Oid owner;
} Found;

static void
get_found(Found *found)
{
	found->saga = DatumGetTextPCopy(sierra_query_required(0, 1, TEXTOID));
	found->version = sierra_query_int4(0, 2);
	found->owner = DatumGetObjectId(sierra_query_required(0, 3, OIDOID));
}

/* Locks the row of the instance until the transaction ends; false if there is none. */
static bool
find(const SierraStore *store, text *saga_id, Oid table_owner, Found *found)
{
	Datum values[1] = {PointerGetDatum(saga_id)};
	SierraRunAs run_as;
	MemoryContext context;
	bool exists;

	sierra_run_as_begin_as(&run_as, table_owner);
	context = sierra_query_begin();
	exists = sierra_query(store, &find_query, values, NULL, false) > 0;
	if (exists)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		get_found(found);
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	sierra_run_as_end(&run_as);
	return exists;
}

/* The row of an instance can be changed; its stream cannot. */
static void
check_row(const Found *found, const SierraSagaState *state)
{
	char *saga = TextDatumGetCString(state->values[SAGA_NAME]);
	int32 version = DatumGetInt32(state->values[SAGA_DEFINITION]);

	if (strcmp(saga, text_to_cstring(found->saga)) == 0 && version == found->version)
		return;
	ereport(
		ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		errmsg("saga instance \"%s\" is not what its row says",
			   TextDatumGetCString(state->values[SAGA_ID])),
		errdetail("The stream began with saga \"%s\", version %d; the row says \"%s\", version %d.",
				  saga, version, text_to_cstring(found->saga), found->version),
		errhint("Use rebuild_saga_instances()."));
}

/* What is not an action is in SQL. */
static void
advance(const SierraStore *store, SierraSagaState *state)
{
	Oid types[] = {NAMEOID, sierra_extension_type("saga_state")};
	Oid function = sierra_extension_function("advance_saga", lengthof(types), types);

	sierra_saga_state_deform(
		OidFunctionCall2(function, NameGetDatum(&store->name), sierra_saga_state_form(state)),
		state);
}

/* Returns whether a step was taken. */
static bool
take_step(const SierraStore *store, text *saga_id, const Found *found)
{
	SierraSagaState state;
	int64 before;

	sierra_saga_load(NameStr(store->name), saga_id, &state);
	check_row(found, &state);
	before = DatumGetInt64(state.values[SAGA_STREAM_VERSION]);
	if (sierra_saga_has_action(&state))
		sierra_saga_run_action(store, &state);
	else
		advance(store, &state);
	sierra_saga_write_row(store, &state);
	return DatumGetInt64(state.values[SAGA_STREAM_VERSION]) > before;
}

static bool
take_step_in_time(const SierraStore *store, text *saga_id, const Found *found)
{
	MemoryContext context = CurrentMemoryContext;
	SierraInProgress in_progress;
	volatile bool done = false;

	if (!sierra_in_progress_begin(&in_progress, store,
								  psprintf("saga instance %s", text_to_cstring(saga_id))))
		return false;
	sierra_time_limit_begin();
	PG_TRY();
	{
		done = take_step(store, saga_id, found);
	}
	PG_CATCH();
	{
		sierra_in_progress_end(&in_progress);
		sierra_time_limit_rethrow(context, true);
	}
	PG_END_TRY();
	sierra_in_progress_end(&in_progress);
	sierra_time_limit_end();
	return done;
}

bool
sierra_saga_run(SierraStore *store, text *saga_id, bool patient, Oid owner)
{
	Oid table_owner = sierra_run_as_table_owner(store, "saga_instances", ACL_UPDATE);
	Oid definer = sierra_run_as_table_owner(store, "sagas", ACL_NO_RIGHTS);
	SierraRunAs run_as;
	Found found;
	bool done;

	if (!find(store, saga_id, table_owner, &found))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("no saga instance \"%s\"", text_to_cstring(saga_id)),
				errdetail("Store \"%s\" has no row of this name with a definition.",
						  NameStr(store->name)));
	/* The definition is not locked, and can have got another owner since it was looked for. */
	if (OidIsValid(owner) && found.owner != owner)
		return false;
	sierra_run_as_check(store, "sagas", definer, found.owner,
						psprintf("saga \"%s\"", text_to_cstring(found.saga)));
	sierra_run_as_begin_as(&run_as, found.owner);
	if (!patient && (LockTimeout == 0 || LockTimeout > SIERRA_SAGA_LOCK_TIMEOUT))
		(void) set_config_option("lock_timeout", psprintf("%d", SIERRA_SAGA_LOCK_TIMEOUT),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	done = take_step_in_time(store, saga_id, &found);
	sierra_run_as_end(&run_as);
	return done;
}
