/*
 * append_sql.c
 *		The SQL functions eappend() and both forms of emappend().
 */
#include "postgres.h"

#include "append/append.h"
#include "append/append_sql.h"
#include "append/event_arrays.h"
#include "append/event_json.h"
#include "append/route.h"
#include "append/tag_locks.h"
#include "base/args.h"
#include "store/event_tags.h"
#include "store/extension.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(sierra_eappend);
PG_FUNCTION_INFO_V1(sierra_emappend_arrays);
PG_FUNCTION_INFO_V1(sierra_emappend_json);

void
sierra_append_read_call(const text *key, const SierraNewEvent *events, int count,
						const text *condition, SierraAppendCall *call)
{
	*call = (SierraAppendCall){.count = count};
	if (key != NULL)
	{
		pg_uuid_t *parsed = palloc(sizeof(pg_uuid_t));

		sierra_event_parse_key(key, parsed);
		call->key = parsed;
	}
	if (condition != NULL)
	{
		SierraCondition *parsed = palloc(sizeof(SierraCondition));

		sierra_condition_parse(condition, parsed);
		call->condition = parsed;
	}
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_event_check(&events[i]);
	}
	sierra_condition_check_events(call->condition, events, count);
}

/* Checks the events and appends them; raises an error if that is refused. */
static SierraAppendResult *
append_or_raise(const text *key, SierraNewEvent *events, int count, const text *condition)
{
	SierraAppendResult *results;
	SierraAppendCall call;
	SierraStore *store;

	sierra_append_read_call(key, events, count, condition, &call);
	store = count > 0 && sierra_tag_locks_need_store(events, &call, 1)
				? sierra_store_open_alone()
				: sierra_store_open(ACL_INSERT);
	if (count == 0)
		return NULL;
	results = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraAppendResult) * count);
	sierra_append_calls(store, events, &call, 1, results);
	sierra_refusal_report(call.status, &call.refusal);
	return results;
}

void
sierra_append_form_result(const SierraNewEvent *event, const SierraAppendResult *results,
						  Datum *values, bool *nulls)
{
	memset(nulls, false, sizeof(bool) * SIERRA_APPEND_RESULT_COLUMNS);
	values[0] = UUIDPGetDatum(&event->event_id);
	values[1] = UUIDPGetDatum(&results->stream->key);
	values[2] = Int32GetDatum(results->stream->partition);
	values[3] = Int64GetDatum(results->partition_sequence);
	values[4] = PointerGetDatum(event->stream_id);
	values[5] = Int64GetDatum(results->stream_version);
	values[6] = TimestampTzGetDatum(event->timestamp);
	values[7] = UUIDPGetDatum(results->transaction_id);
	values[8] = Int64GetDatum(results->global_position);
}

/* The row that eappend() returns. */
static Datum
form_row(FunctionCallInfo fcinfo, const SierraNewEvent *event, const SierraAppendResult *results)
{
	TupleDesc desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	Datum values[SIERRA_APPEND_RESULT_COLUMNS];
	bool nulls[SIERRA_APPEND_RESULT_COLUMNS];
	HeapTuple row;

	sierra_extension_check_desc(desc, SIERRA_APPEND_RESULT_COLUMNS);
	sierra_append_form_result(event, results, values, nulls);
	row = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(row);
}

static SierraExpectedVersion
get_expected_version(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"%s\" must not be null", "expected_version"),
				errhint("Use 'empty' for a stream that must not have events (esver() is NULL for "
						"it), 'any' for no expectation."));
	return PG_GETARG_INT64(arg);
}

/* A text, or JSON, as an argument; NULL if the argument is null. */
static text *
get_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : PG_GETARG_TEXT_PP(arg);
}

Datum
sierra_eappend(PG_FUNCTION_ARGS)
{
	SierraNewEvent event = {0};
	SierraAppendResult *results;

	sierra_require_argument(fcinfo, 0, "stream_id");
	sierra_require_argument(fcinfo, 1, "event_name");

	event.stream_id = PG_GETARG_TEXT_PP(0);
	event.event_name = PG_GETARG_TEXT_PP(1);
	event.payload = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	event.metadata = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
	event.expected = get_expected_version(fcinfo, 4);
	event.has_event_id = !PG_ARGISNULL(5);
	if (event.has_event_id)
		event.event_id = *PG_GETARG_UUID_P(5);
	event.has_timestamp = !PG_ARGISNULL(7);
	if (event.has_timestamp)
		event.timestamp = PG_GETARG_TIMESTAMPTZ(7);
	event.payload_bytes = PG_ARGISNULL(8) ? NULL : PG_GETARG_BYTEA_PP(8);
	event.tags = PG_ARGISNULL(9) ? NULL : sierra_tags_of_array(PG_GETARG_ARRAYTYPE_P(9));

	results = append_or_raise(get_text(fcinfo, 6), &event, 1, get_text(fcinfo, 10));
	return form_row(fcinfo, &event, results);
}

void
sierra_append_return(FunctionCallInfo fcinfo, const SierraNewEvent *events,
					 const SierraAppendResult *results, int count)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum values[SIERRA_APPEND_RESULT_COLUMNS];
	bool nulls[SIERRA_APPEND_RESULT_COLUMNS];

	InitMaterializedSRF(fcinfo, 0);
	sierra_extension_check_desc(rsinfo->setDesc, SIERRA_APPEND_RESULT_COLUMNS);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_append_form_result(&events[i], &results[i], values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* The arguments of emappend() with arrays: partition_key, the arrays, condition. */
#define ARG_FIRST_ARRAY 1
#define ARG_CONDITION (ARG_FIRST_ARRAY + SIERRA_ARRAYS)

Datum
sierra_emappend_arrays(PG_FUNCTION_ARGS)
{
	SierraArray arrays[SIERRA_ARRAYS];
	SierraNewEvent *events;
	SierraAppendResult *results;
	int count;

	sierra_event_arrays_get(fcinfo, ARG_FIRST_ARRAY, arrays, &count);
	events = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraNewEvent) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_event_arrays_read(arrays, i, &events[i]);
	}
	sierra_event_arrays_free(arrays);
	results = append_or_raise(get_text(fcinfo, 0), events, count, get_text(fcinfo, ARG_CONDITION));
	sierra_append_return(fcinfo, events, results, count);
	return (Datum) 0;
}

Datum
sierra_emappend_json(PG_FUNCTION_ARGS)
{
	SierraNewEvent *events;
	SierraAppendResult *results;
	text *json;
	text *condition;
	int count;

	sierra_require_argument(fcinfo, 1, "events");
	json = PG_GETARG_TEXT_PP(1);
	events = sierra_event_json_read(json, &count, &condition);
	PG_FREE_IF_COPY(json, 1);
	results = append_or_raise(get_text(fcinfo, 0), events, count, condition);
	sierra_append_return(fcinfo, events, results, count);
	return (Datum) 0;
}
