/*
 * sql_derive.c
 *		eload().
 *
 * Making and dropping aggregates, and edecide(), are in SQL.
 */
#include "postgres.h"

#include "aggregate.h"
#include "event.h"
#include "result.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(sierra_eload);

/* Type sierra_event is in the schema of the extension, where the called function is too. */
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

Datum
sierra_eload(PG_FUNCTION_ARGS)
{
	SierraLoad load = {.at_version = PG_INT64_MAX, .until = DT_NOEND};
	SierraLoaded loaded;
	TupleDesc desc;
	Datum values[2];
	bool nulls[2];

	sierra_require_argument(fcinfo, 0, "aggregate");
	sierra_require_argument(fcinfo, 1, "stream_id");
	load.aggregate = PG_GETARG_TEXT_PP(0);
	load.stream_id = PG_GETARG_TEXT_PP(1);
	if (!PG_ARGISNULL(2))
		load.at_version = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(3))
		load.until = PG_GETARG_TIMESTAMPTZ(3);
	if (load.at_version < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("at_version must not be less than -1"),
				errdetail("It is %lld.", (long long) load.at_version),
				errhint("-1 is the state before the first event."));
	load.event_type = find_event_type(fcinfo);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "eload() must return a row");

	sierra_aggregate_load(sierra_store_open(ACL_SELECT), &load, &loaded);
	values[0] = loaded.state;
	nulls[0] = loaded.isnull;
	values[1] = Int64GetDatum(loaded.version);
	nulls[1] = loaded.version == SIERRA_NONE;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
