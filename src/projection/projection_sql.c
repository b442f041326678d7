/*
 * projection_sql.c
 *		run_projection() and eproject().
 *
 * Creating, rebuilding and dropping projections, and the views, are in SQL.
 */
#include "postgres.h"

#include "base/args.h"
#include "projection/batch.h"
#include "projection/projection.h"
#include "projection/query_projection.h"
#include "projection/run_projection.h"
#include "store/extension.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(sierra_run_projection_version);
PG_FUNCTION_INFO_V1(sierra_try_projection_version);
PG_FUNCTION_INFO_V1(sierra_eproject);

static Oid
find_take_over(void)
{
	static const Oid types[] = {NAMEOID, TEXTOID, INT4OID};

	return sierra_extension_function("make_version_live", lengthof(types), types);
}

Datum
sierra_run_projection_version(PG_FUNCTION_ARGS)
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
	run.event_type = sierra_extension_event_type();
	run.take_over = find_take_over();
	PG_RETURN_INT64(sierra_run_projection(sierra_store_open(ACL_SELECT), &run));
}

Datum
sierra_try_projection_version(PG_FUNCTION_ARGS)
{
	SierraProjection *projection =
		sierra_projection_open(sierra_store_open(ACL_SELECT), PG_GETARG_TEXT_PP(0),
							   PG_GETARG_INT32(1), ACL_SELECT, SIERRA_PROJECTION_UNLOCKED);
	SierraBatch none = {0};

	sierra_projection_enter(projection, sierra_extension_event_type());
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
	state = sierra_read_projection(projection, PG_GETARG_TEXT_PP(1), sierra_extension_event_type(),
								   &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(state);
}
