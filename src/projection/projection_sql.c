/*
 * projection_sql.c
 *		run_projection() and eproject().
 *
 * Making, rebuilding and dropping projections, and views, are in SQL.
 */
#include "postgres.h"

#include "base/args.h"
#include "projection/batch.h"
#include "projection/projection.h"
#include "projection/query_projection.h"
#include "projection/run_projection.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(sierra_run);
PG_FUNCTION_INFO_V1(sierra_try_projection);
PG_FUNCTION_INFO_V1(sierra_eproject);

/* Objects of the extension are in the schema where the called function is too. */
static Oid
find_event_type(FunctionCallInfo fcinfo)
{
	Oid schema = get_func_namespace(fcinfo->flinfo->fn_oid);
	Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("sierra_event"),
							   ObjectIdGetDatum(schema));

	if (!OidIsValid(type))
		elog(ERROR, "type sierra_event does not exist");
	return type;
}

static Oid
find_take_over(FunctionCallInfo fcinfo)
{
	char *schema = get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid));
	Oid types[3] = {NAMEOID, TEXTOID, INT4OID};

	return LookupFuncName(list_make2(makeString(schema), makeString("sierra_take_over")), 3, types,
						  false);
}

Datum
sierra_run(PG_FUNCTION_ARGS)
{
	SierraRun run = {0};

	sierra_require_argument(fcinfo, 0, "projection");
	sierra_require_argument(fcinfo, 2, "max_count");
	run.projection = PG_GETARG_TEXT_PP(0);
	run.version = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	run.max_count = PG_GETARG_INT64(2);
	if (run.max_count < 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_count must be at least 1"),
				errdetail("It is %lld.", (long long) run.max_count));
	run.event_type = find_event_type(fcinfo);
	run.take_over = find_take_over(fcinfo);
	PG_RETURN_INT64(sierra_run_projection(sierra_store_open(ACL_SELECT), &run));
}

Datum
sierra_try_projection(PG_FUNCTION_ARGS)
{
	SierraProjection *projection =
		sierra_projection_open(sierra_store_open(ACL_SELECT), PG_GETARG_TEXT_PP(0),
							   PG_GETARG_INT32(1), ACL_SELECT, SIERRA_PROJECTION_UNLOCKED);
	SierraBatch none = {0};

	sierra_projection_enter(projection, find_event_type(fcinfo));
	projection->store = sierra_store_open(ACL_SELECT);
	if (projection->kind == SIERRA_FOLDS || projection->kind == SIERRA_MANAGES)
		sierra_batch_keys(projection, &none);
	sierra_projection_leave(projection);
	PG_RETURN_VOID();
}

Datum
sierra_eproject(PG_FUNCTION_ARGS)
{
	SierraProjection *projection;
	Datum state;
	bool isnull;

	sierra_require_argument(fcinfo, 0, "projection");
	sierra_require_argument(fcinfo, 1, "key");
	projection = sierra_projection_open(sierra_store_open(ACL_SELECT), PG_GETARG_TEXT_PP(0), 0,
										ACL_SELECT, SIERRA_PROJECTION_UNLOCKED);
	state =
		sierra_read_projection(projection, PG_GETARG_TEXT_PP(1), find_event_type(fcinfo), &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(state);
}
