/*
 * append_sql.c
 *		The SQL functions eappend() and both forms of emappend().
 */
#include "postgres.h"

#include "append/append.h"
#include "append/append_sql.h"
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

/* Columns of sierra_append_result. */
#define NATTS_RESULT 9

/* Checks the events and appends them; raises an error if that is refused. */
static SierraAppendResult *
append_or_raise(const pg_uuid_t *key, SierraNewEvent *events, int count,
				const SierraCondition *condition)
{
	SierraAppendResult *results;
	SierraRefusal refusal;
	SierraStore *store;

	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_event_check(&events[i]);
	}
	store = sierra_tag_locks_need_store(events, count, condition) ? sierra_store_open_alone()
																  : sierra_store_open(ACL_INSERT);
	if (count == 0)
		return NULL;
	results = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraAppendResult) * count);
	sierra_refusal_report(sierra_append(store, key, events, count, condition, results, &refusal),
						  &refusal);
	return results;
}

static void
form_result(const SierraNewEvent *event, const SierraAppendResult *results, Datum *values,
			bool *nulls)
{
	memset(nulls, false, sizeof(bool) * NATTS_RESULT);
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
	Datum values[NATTS_RESULT];
	bool nulls[NATTS_RESULT];
	HeapTuple row;

	sierra_extension_check_desc(desc, NATTS_RESULT);
	form_result(event, results, values, nulls);
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

/* The partition key that an argument stands for; NULL if the argument is null. */
static pg_uuid_t *
get_partition_key(FunctionCallInfo fcinfo, int arg)
{
	pg_uuid_t *key;

	if (PG_ARGISNULL(arg))
		return NULL;
	key = palloc(sizeof(pg_uuid_t));
	sierra_event_parse_key(PG_GETARG_TEXT_PP(arg), key);
	return key;
}

/* The condition that this JSON contains; NULL for NULL. */
static SierraCondition *
read_condition(const text *json)
{
	SierraCondition *condition;

	if (json == NULL)
		return NULL;
	condition = palloc(sizeof(SierraCondition));
	sierra_condition_parse(json, condition);
	return condition;
}

static SierraCondition *
get_condition(FunctionCallInfo fcinfo, int arg)
{
	return read_condition(PG_ARGISNULL(arg) ? NULL : PG_GETARG_TEXT_PP(arg));
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

	results = append_or_raise(get_partition_key(fcinfo, 6), &event, 1, get_condition(fcinfo, 10));
	return form_row(fcinfo, &event, results);
}

void
sierra_append_return(FunctionCallInfo fcinfo, const SierraNewEvent *events,
					 const SierraAppendResult *results, int count)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum values[NATTS_RESULT];
	bool nulls[NATTS_RESULT];

	InitMaterializedSRF(fcinfo, 0);
	sierra_extension_check_desc(rsinfo->setDesc, NATTS_RESULT);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		form_result(&events[i], &results[i], values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* The arguments of emappend() with arrays, in their order. */
enum
{
	ARG_PARTITION_KEY,
	ARG_STREAM_IDS,
	ARG_EVENT_NAMES,
	ARG_PAYLOADS,
	ARG_METADATAS,
	ARG_EXPECTED_VERSIONS,
	ARG_EVENT_IDS,
	ARG_TIMESTAMPS,
	ARG_PAYLOAD_BYTES,
	ARG_TAGS,
	ARG_ARRAYS_END,
	ARG_CONDITION = ARG_ARRAYS_END
};

static const char *const array_names[ARG_ARRAYS_END] = {
	"partition_key",	 "stream_ids", "event_names", "payloads",	   "metadatas",
	"expected_versions", "event_ids",  "timestamps",  "payload_bytes", "tags"};

/* An array argument of emappend(), taken apart. */
typedef struct ArrayArgument
{
	Datum *values; /* NULL: the argument is null */
	bool *nulls;
} ArrayArgument;

/* Takes an array apart.  The first array sets *count; the others must have this length. */
static ArrayArgument
get_array(FunctionCallInfo fcinfo, int arg, const char *name, int *count)
{
	ArrayArgument argument = {NULL, NULL};
	ArrayType *array;
	int length;
	int16 typlen;
	bool typbyval;
	char typalign;

	if (PG_ARGISNULL(arg))
		return argument;
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must have one dimension", name));
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, &argument.values,
					  &argument.nulls, &length);
	if (*count < 0)
		*count = length;
	else if (length != *count)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("all arrays must have the same length"),
				errdetail("\"%s\" has %d elements, \"stream_ids\" has %d.", name, length, *count),
				errhint("Pass NULL for an array that is not needed, or a null element for a value "
						"that is not there."));
	return argument;
}

/* Frees what get_array() made; values that it points to stay. */
static void
free_array(ArrayArgument *argument)
{
	if (argument->values == NULL)
		return;
	pfree(argument->values);
	pfree(argument->nulls);
}

static inline bool
has_value(const ArrayArgument *argument, int i)
{
	return argument->values != NULL && !argument->nulls[i];
}

static Datum
required_value(const ArrayArgument *argument, int i, const char *name)
{
	if (!has_value(argument, i))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"%s\" must not contain nulls", name),
				errdetail("Element %d is null.", i + 1),
				name == array_names[ARG_EXPECTED_VERSIONS]
					? errhint("Use 'empty' for a stream that must not have events (esver() is NULL "
							  "for it), 'any' for no expectation.")
					: 0);
	return argument->values[i];
}

static void *
optional_varlena(const ArrayArgument *argument, int i)
{
	return has_value(argument, i) ? PG_DETOAST_DATUM_PACKED(argument->values[i]) : NULL;
}

static ArrayType *
tags_of(const ArrayArgument *argument, int i)
{
	SierraJsonReader reader;

	if (!has_value(argument, i))
		return NULL;
	reader = sierra_json_begin(DatumGetTextPP(argument->values[i]));
	return sierra_tags_of_json(sierra_json_read(&reader));
}

static void
fill_event(SierraNewEvent *event, const ArrayArgument *args, int i)
{
	event->stream_id =
		DatumGetTextPP(required_value(&args[ARG_STREAM_IDS], i, array_names[ARG_STREAM_IDS]));
	event->event_name =
		DatumGetTextPP(required_value(&args[ARG_EVENT_NAMES], i, array_names[ARG_EVENT_NAMES]));
	event->payload = optional_varlena(&args[ARG_PAYLOADS], i);
	event->metadata = optional_varlena(&args[ARG_METADATAS], i);
	event->payload_bytes = optional_varlena(&args[ARG_PAYLOAD_BYTES], i);
	event->tags = tags_of(&args[ARG_TAGS], i);
	event->expected = SIERRA_EXPECT_ANY;
	if (args[ARG_EXPECTED_VERSIONS].values != NULL)
		event->expected = DatumGetInt64(
			required_value(&args[ARG_EXPECTED_VERSIONS], i, array_names[ARG_EXPECTED_VERSIONS]));
	event->has_event_id = has_value(&args[ARG_EVENT_IDS], i);
	if (event->has_event_id)
		event->event_id = *DatumGetUUIDP(args[ARG_EVENT_IDS].values[i]);
	event->has_timestamp = has_value(&args[ARG_TIMESTAMPS], i);
	if (event->has_timestamp)
		event->timestamp = DatumGetTimestampTz(args[ARG_TIMESTAMPS].values[i]);
}

Datum
sierra_emappend_arrays(PG_FUNCTION_ARGS)
{
	ArrayArgument args[ARG_ARRAYS_END] = {{NULL, NULL}};
	SierraNewEvent *events;
	SierraAppendResult *results;
	int count = -1;

	for (int arg = ARG_STREAM_IDS; arg < ARG_ARRAYS_END; arg++)
	{
		if (arg <= ARG_EVENT_NAMES)
			sierra_require_argument(fcinfo, arg, array_names[arg]);
		args[arg] = get_array(fcinfo, arg, array_names[arg], &count);
	}

	events = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraNewEvent) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		fill_event(&events[i], args, i);
	}
	for (int arg = ARG_STREAM_IDS; arg < ARG_ARRAYS_END && count > 0; arg++)
		free_array(&args[arg]);
	results = append_or_raise(get_partition_key(fcinfo, ARG_PARTITION_KEY), events, count,
							  get_condition(fcinfo, ARG_CONDITION));
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
	results =
		append_or_raise(get_partition_key(fcinfo, 0), events, count, read_condition(condition));
	sierra_append_return(fcinfo, events, results, count);
	return (Datum) 0;
}
