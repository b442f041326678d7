/*
 * projection.c
 *		Projections: what a handler makes of the events of a subscription.
 *
 * run_as.c explains who may run what with whose rights.
 */
#include "postgres.h"

#include "aggregate/fold.h"
#include "base/errors.h"
#include "projection/key_expression.h"
#include "projection/projection.h"
#include "store/extension.h"
#include "store/query.h"
#include "store/run_as.h"
#include "store/user_function.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#define FIND_PROJECTION                                                                            \
	"SELECT p.version, p.owner::pg_catalog.oid, p.kind, p.handler, p.key, p.initial, p.streams, "  \
	"p.event_names, p.tags,"                                                                       \
	" p.search_path, p.subscription, p.batch_size, p.on_error, p.retry_after, p.live,"             \
	" p.automatic, p.state"                                                                        \
	" FROM %1$s.projections AS p WHERE p.projection OPERATOR(pg_catalog.=) $1"                     \
	" AND CASE WHEN $2 OPERATOR(pg_catalog.=) 0 THEN p.live"                                       \
	" ELSE p.version OPERATOR(pg_catalog.=) $2 END"

static const SierraQuery share_query = {FIND_PROJECTION " FOR KEY SHARE", 2, {TEXTOID, INT4OID}};
static const SierraQuery find_query = {FIND_PROJECTION, 2, {TEXTOID, INT4OID}};
static const SierraQuery lock_query = {FIND_PROJECTION " FOR NO KEY UPDATE", 2, {TEXTOID, INT4OID}};

/*
 * Under REPEATABLE READ and above, an appender sees the version that was live
 * at the time of its snapshot.  If another version has taken over since, the
 * lock raises 40001: otherwise the appender would write states of a version
 * that is gone.
 */
static const SierraQuery *
query_for(SierraProjectionLock lock)
{
	if (lock == SIERRA_PROJECTION_LOCKED)
		return &lock_query;
	return lock == SIERRA_PROJECTION_KEY_SHARE && IsolationUsesXactSnapshot() ? &share_query
																			  : &find_query;
}

/* A column that can be null. */
static text *
get_text(int column)
{
	bool isnull;
	Datum value = sierra_query_value(0, column, TEXTOID, &isnull);

	return isnull ? NULL : DatumGetTextPCopy(value);
}

/* The check constraint of the table may be gone: no run could take batches of another size. */
static int32
get_batch_size(int column)
{
	int32 size = sierra_query_int4(0, column);

	if (size < 1 || size > SIERRA_PROJECTION_MAX_BATCH)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("a table of the event store has been changed"),
				errdetail("A projection has batches of %d events; they have 1 to %d.", size,
						  SIERRA_PROJECTION_MAX_BATCH),
				errhint("Undo the change to the table; everify() lists all differences."));
	return size;
}

static SierraProjectionKind
parse_kind(const char *kind)
{
	if (strcmp(kind, "fold") == 0)
		return SIERRA_FOLDS;
	if (strcmp(kind, "process") == 0)
		return SIERRA_MANAGES;
	return strcmp(kind, "batch") == 0 ? SIERRA_HANDLES_BATCH : SIERRA_HANDLES_EVENT;
}

/* Takes the projection from the row that was found. */
static void
get_projection(SierraProjection *projection)
{
	text *key = get_text(5);

	projection->version = sierra_query_int4(0, 1);
	projection->owner = DatumGetObjectId(sierra_query_required(0, 2, OIDOID));
	projection->kind = parse_kind(sierra_query_cstring(0, 3));
	projection->procedure = sierra_query_cstring(0, 4);
	projection->key = key == NULL ? NULL : text_to_cstring(key);
	projection->initial = sierra_query_value(0, 6, JSONBOID, &projection->initial_null);
	if (!projection->initial_null)
		projection->initial = PointerGetDatum(PG_DETOAST_DATUM_COPY(projection->initial));
	projection->streams = sierra_filter_of_column(7, "streams");
	projection->event_names = sierra_filter_of_column(8, "event_names");
	projection->tags = sierra_filter_of_column(9, "tags");
	projection->search_path = sierra_query_cstring(0, 10);
	projection->subscription = get_text(11);
	projection->batch_size = get_batch_size(12);
	projection->parks = strcmp(sierra_query_cstring(0, 13), "park") == 0;
	projection->retry_after =
		datumCopy(sierra_query_required(0, 14, INTERVALOID), false, sizeof(Interval));
	projection->live = sierra_query_bool(0, 15);
	projection->automatic = sierra_query_bool(0, 16);
	projection->state = sierra_query_cstring(0, 17);
	projection->running =
		strcmp(projection->state, "running") == 0 || strcmp(projection->state, "retrying") == 0;
}

SierraProjection *
sierra_projection_find(SierraStore *store, text *name, int32 version, AclMode rights,
					   SierraProjectionLock lock)
{
	SierraProjection *projection = palloc0(sizeof(SierraProjection));
	Datum values[2] = {PointerGetDatum(name), Int32GetDatum(version)};
	Oid table_owner = sierra_run_as_table_owner(store, "projections", rights);
	SierraRunAs run_as;
	MemoryContext context;
	MemoryContext spi;
	bool found;

	projection->store = store;
	projection->name = name;
	/* The row is read as the owner of the table, so that an appender needs no rights on it. */
	sierra_run_as_begin_as(&run_as, table_owner);
	context = sierra_query_begin();
	found =
		sierra_query(store, query_for(lock), values, NULL, lock == SIERRA_PROJECTION_UNLOCKED) > 0;
	if (found)
	{
		spi = MemoryContextSwitchTo(context);
		get_projection(projection);
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	sierra_run_as_end(&run_as);
	if (!found && lock == SIERRA_PROJECTION_KEY_SHARE && IsolationUsesXactSnapshot())
		ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				errmsg("could not serialize access due to concurrent update"),
				errdetail("Projection \"%s\" became inline after this transaction began.",
						  text_to_cstring(name)),
				errhint("Repeat the transaction."));
	if (!found)
		return NULL;
	sierra_run_as_check(store, "projections", table_owner, projection->owner,
						psprintf("projection \"%s\"", text_to_cstring(name)));
	return projection;
}

SierraProjection *
sierra_projection_open(SierraStore *store, text *name, int32 version, AclMode rights,
					   SierraProjectionLock lock)
{
	SierraProjection *projection = sierra_projection_find(store, name, version, rights, lock);

	if (projection == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("no projection \"%s\"", text_to_cstring(name)),
				errdetail("Store \"%s\" has no projection of this name.", NameStr(store->name)),
				errhint("Make it with create_projection(); event_projections() lists them."));
	return projection;
}

static Oid
find_handler(const SierraProjection *projection)
{
	HeapTuple tuple;
	Form_pg_proc form;
	Oid function;
	Oid argument;
	bool fits;

	if (projection->kind == SIERRA_FOLDS || projection->kind == SIERRA_MANAGES)
		return sierra_fold_function(projection->procedure, projection->event_type);
	function = sierra_function_of_text(projection->procedure);
	argument = projection->kind == SIERRA_HANDLES_BATCH ? get_array_type(projection->event_type)
														: projection->event_type;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	fits = form->prokind == PROKIND_FUNCTION && form->pronargs == 1 && !form->proretset &&
		   form->proargtypes.values[0] == argument;
	ReleaseSysCache(tuple);
	if (!fits)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			errmsg("function %s is not a handler", projection->procedure),
			errhint("A handler takes (sierra_event), (sierra_event[]) or (jsonb, sierra_event), "
					"and does not return a set."));
	sierra_function_check_execute(function);
	return function;
}

/*
 * Loads the upcasters of the store.  They run as the projection's owner, so the
 * owner of their table must be allowed to become that role, as the owner of the
 * table of projections must.  They are read as the table's owner, so that a
 * projection needs no rights on the table.
 */
static void
load_upcasters(SierraProjection *projection)
{
	SierraStore *store = projection->store;
	SierraRunAs run_as;
	Oid table_owner;

	projection->upcasters_loaded = true;
	if (!sierra_upcasters_exist(store))
		return;
	table_owner = sierra_run_as_table_owner(store, "upcasters", ACL_NO_RIGHTS);
	sierra_run_as_begin_as(&run_as, table_owner);
	projection->upcasters = sierra_upcasters_load(store, sierra_query_begin());
	sierra_query_end();
	sierra_run_as_end(&run_as);
	if (projection->upcasters != NULL)
		sierra_run_as_check(
			store, "upcasters", table_owner, projection->owner,
			psprintf("upcasters for projection \"%s\"", text_to_cstring(projection->name)));
}

void
sierra_projection_enter(SierraProjection *projection, Oid event_type)
{
	if (projection->key != NULL)
		sierra_key_check(projection->key, text_to_cstring(projection->name));
	if (!projection->upcasters_loaded)
		load_upcasters(projection);
	sierra_run_as_begin_as(&projection->run_as, projection->owner);
	sierra_run_as_set_path(projection->search_path);
	projection->event_type = event_type;
	if (!OidIsValid(projection->handler))
		projection->handler = find_handler(projection);
	if (projection->desc == NULL)
		projection->desc = sierra_extension_event_desc();
}

void
sierra_projection_leave(SierraProjection *projection)
{
	sierra_run_as_end(&projection->run_as);
}
