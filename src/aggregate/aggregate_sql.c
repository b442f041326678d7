/*
 * aggregate_sql.c
 *		eload() and edecide(), the same of queries, and eupcast().
 */
#include "postgres.h"

#include "aggregate/aggregate.h"
#include "aggregate/decide.h"
#include "aggregate/upcast.h"
#include "append/append_sql.h"
#include "base/args.h"
#include "base/json_convert.h"
#include "store/event.h"
#include "store/extension.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(sierra_eload);
PG_FUNCTION_INFO_V1(sierra_edecide);
PG_FUNCTION_INFO_V1(sierra_eupcast);
PG_FUNCTION_INFO_V1(sierra_eload_query);
PG_FUNCTION_INFO_V1(sierra_edecide_query);

#define RETRIES_MAX 1000000

static void
get_load(FunctionCallInfo fcinfo, SierraLoad *load)
{
	sierra_require_argument(fcinfo, 0, "aggregate");
	sierra_require_argument(fcinfo, 1, "stream_id");
	load->aggregate = PG_GETARG_TEXT_PP(0);
	load->stream_id = PG_GETARG_TEXT_PP(1);
	load->event_type = sierra_extension_event_type();
	load->at_version = PG_INT64_MAX;
	load->until = DT_NOEND;
}

Datum
sierra_eload(PG_FUNCTION_ARGS)
{
	SierraLoad load;
	SierraLoaded loaded;
	TupleDesc desc;
	Datum values[2];
	bool nulls[2];

	get_load(fcinfo, &load);
	if (!PG_ARGISNULL(2))
		load.at_version = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(3))
		load.until = PG_GETARG_TIMESTAMPTZ(3);
	if (load.at_version < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("at_version must not be less than -1"),
				errdetail("It is %lld.", (long long) load.at_version),
				errhint("-1 is the state before the first event."));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "eload() must return a row");

	sierra_aggregate_load(sierra_store_open(ACL_SELECT), &load, &loaded);
	values[0] = loaded.state;
	nulls[0] = loaded.isnull;
	values[1] = Int64GetDatum(loaded.version);
	nulls[1] = loaded.version == SIERRA_NONE;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* The query that an argument stands for. */
static void
get_query_load(FunctionCallInfo fcinfo, SierraQueryLoad *load, SierraEventQuery *query)
{
	sierra_require_argument(fcinfo, 0, "aggregate");
	sierra_event_query_parse(PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1), query);
	*load = (SierraQueryLoad){.aggregate = PG_GETARG_TEXT_PP(0),
							  .query = query,
							  .event_type = sierra_extension_event_type()};
}

Datum
sierra_eload_query(PG_FUNCTION_ARGS)
{
	SierraEventQuery query;
	SierraQueryLoad load;
	SierraQueryLoaded loaded;
	TupleDesc desc;
	Datum values[2];
	bool nulls[2];

	get_query_load(fcinfo, &load, &query);
	load.bounded = !PG_ARGISNULL(2);
	if (load.bounded)
		load.at_position = PG_GETARG_INT64(2);
	if (load.bounded && load.at_position < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("at_position must not be less than -1"),
				errdetail("It is %lld.", (long long) load.at_position),
				errhint("-1 is the state before the first event."));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "eload_query() must return a row");

	sierra_aggregate_load_query(sierra_store_open(ACL_SELECT), &load, false, &loaded);
	values[0] = loaded.state;
	nulls[0] = loaded.isnull;
	values[1] = Int64GetDatum(loaded.position);
	nulls[1] = false;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* The arguments decide, command, retries, metadata and command_id, from argument 2 on. */
static void
get_command(FunctionCallInfo fcinfo, SierraCommand *command)
{
	sierra_require_argument(fcinfo, 2, "decide");
	sierra_require_argument(fcinfo, 3, "command");
	sierra_require_argument(fcinfo, 4, "retries");
	command->decide = PG_GETARG_OID(2);
	command->command = sierra_jsonb_of_json(PG_GETARG_TEXT_PP(3));
	command->retries = PG_GETARG_INT32(4);
	command->metadata = PG_ARGISNULL(5) ? NULL : PG_GETARG_TEXT_PP(5);
	if (command->metadata != NULL)
		sierra_event_check_metadata(command->metadata);
	command->has_id = !PG_ARGISNULL(6);
	if (command->has_id)
		command->id = *PG_GETARG_UUID_P(6);
	if (command->retries < 0 || command->retries > RETRIES_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("retries must be 0 to %d", RETRIES_MAX),
				errdetail("The value is %d.", command->retries));
	sierra_decide_check_function(command->decide);
}

Datum
sierra_edecide(PG_FUNCTION_ARGS)
{
	SierraLoad load;
	SierraCommand command = {0};
	SierraDecision decision;
	SierraRefusal refusal;

	get_load(fcinfo, &load);
	get_command(fcinfo, &command);
	sierra_refusal_report(
		sierra_decide(sierra_store_open(ACL_SELECT), &load, &command, &decision, &refusal),
		&refusal);
	sierra_append_return(fcinfo, decision.events, decision.results, decision.count);
	return (Datum) 0;
}

Datum
sierra_edecide_query(PG_FUNCTION_ARGS)
{
	SierraEventQuery query;
	SierraQueryLoad load;
	SierraCommand command = {0};
	SierraDecision decision;
	SierraRefusal refusal;

	get_query_load(fcinfo, &load, &query);
	get_command(fcinfo, &command);
	sierra_refusal_report(sierra_decide_query(&load, &command, &decision, &refusal), &refusal);
	sierra_append_return(fcinfo, decision.events, decision.results, decision.count);
	return (Datum) 0;
}

Datum
sierra_eupcast(PG_FUNCTION_ARGS)
{
	HeapTupleHeader event = PG_GETARG_HEAPTUPLEHEADER(0);
	const SierraCachedUpcasters *cached = sierra_upcasters_find(
		(SierraUpcastersCache **) &fcinfo->flinfo->fn_extra, fcinfo->flinfo->fn_mcxt,
		sierra_store_open(ACL_SELECT), sierra_extension_event_type());
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(event), .t_data = event};
	Datum values[Natts_events];
	bool nulls[Natts_events];

	if (cached->upcasters == NULL)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	heap_deform_tuple(&tuple, cached->desc, values, nulls);
	if (!nulls[SIERRA_EVENT_NAME])
		sierra_upcast(cached->upcasters, values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(cached->desc, values, nulls)));
}
