/*
 * read_sql.c
 *		eget(), escan(), epscan(), eall(), equery(), esver() and epseq(), and the forms of escan()
 *		and epscan() that pack the events.
 */
#include "postgres.h"

#include "base/args.h"
#include "base/routing.h"
#include "read/event_pack.h"
#include "read/event_rows.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "read/row_security.h"
#include "store/event.h"
#include "store/scan.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_eget);
PG_FUNCTION_INFO_V1(sierra_escan);
PG_FUNCTION_INFO_V1(sierra_epscan);
PG_FUNCTION_INFO_V1(sierra_escan_packed);
PG_FUNCTION_INFO_V1(sierra_epscan_packed);
PG_FUNCTION_INFO_V1(sierra_eall);
PG_FUNCTION_INFO_V1(sierra_equery);
PG_FUNCTION_INFO_V1(sierra_esver);
PG_FUNCTION_INFO_V1(sierra_epseq);

static Datum
end_reading(SierraEventRows *result)
{
	sierra_event_rows_flush(result);
	return (Datum) 0;
}

/* The arguments from, to, max_count and backward; arg is the first of them. */
static SierraRange
get_range(FunctionCallInfo fcinfo, int arg, const char *from_name)
{
	SierraRange range;

	sierra_require_argument(fcinfo, arg, from_name);
	sierra_require_argument(fcinfo, arg + 3, "backward");
	range.from = PG_GETARG_INT64(arg);
	range.to = PG_ARGISNULL(arg + 1) ? PG_INT64_MAX : PG_GETARG_INT64(arg + 1);
	range.backward = PG_GETARG_BOOL(arg + 3);
	if (range.from < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%s must not be negative", from_name),
				errdetail("It is %lld.", (long long) range.from), errhint("Numbers start at 0."));
	return range;
}

Datum
sierra_eget(PG_FUNCTION_ARGS)
{
	SierraEventRows result;

	sierra_require_argument(fcinfo, 0, "event_id");
	sierra_event_rows_begin(fcinfo, NULL, 1, &result);
	sierra_read_event(result.store, PG_GETARG_UUID_P(0), result.sink);
	return end_reading(&result);
}

Datum
sierra_escan(PG_FUNCTION_ARGS)
{
	SierraEventRows result;
	SierraRange range;
	int64 max_count;

	sierra_require_argument(fcinfo, 0, "stream_id");
	range = get_range(fcinfo, 1, "from_version");
	max_count = sierra_arg_max_count(fcinfo, 3);
	sierra_event_rows_begin(fcinfo, NULL, max_count, &result);
	if (max_count > 0)
		sierra_read_stream(result.store, PG_GETARG_TEXT_PP(0), range, result.sink);
	return end_reading(&result);
}

/* Argument 0 is the number of a partition, or argument key_arg is a partition key. */
static void
check_partition_arguments(FunctionCallInfo fcinfo, int key_arg)
{
	if (PG_ARGISNULL(0) && PG_ARGISNULL(key_arg))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"partition\" must not be null"),
				errhint("Pass the number of a partition, or a key as partition_key => 'key'."));
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(key_arg))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("arguments \"partition\" and \"partition_key\" exclude each other"),
				errdetail("Partition %d is not always that of the key.", PG_GETARG_INT32(0)),
				errhint("Pass only one of them."));
}

static int
get_partition(FunctionCallInfo fcinfo, int key_arg, SierraStore *store)
{
	pg_uuid_t key;

	if (!PG_ARGISNULL(0))
	{
		sierra_check_partition(store, PG_GETARG_INT32(0));
		return PG_GETARG_INT32(0);
	}
	sierra_event_parse_key(PG_GETARG_TEXT_PP(key_arg), &key);
	return sierra_uuid_partition(&key, store->partitions);
}

Datum
sierra_epscan(PG_FUNCTION_ARGS)
{
	SierraEventRows result;
	SierraRange range;
	int64 max_count;
	int partition;

	check_partition_arguments(fcinfo, 5);
	range = get_range(fcinfo, 1, "from_sequence");
	max_count = sierra_arg_max_count(fcinfo, 3);
	sierra_event_rows_begin(fcinfo, NULL, max_count, &result);
	partition = get_partition(fcinfo, 5, result.store);
	if (max_count > 0)
		sierra_read_partition(result.store, partition, range, result.sink);
	return end_reading(&result);
}

Datum
sierra_escan_packed(PG_FUNCTION_ARGS)
{
	SierraEventPack pack;
	SierraStore *store;
	SierraRange range;
	int64 max_count;

	sierra_require_argument(fcinfo, 0, "stream_id");
	range = get_range(fcinfo, 1, "from_version");
	max_count = sierra_arg_max_count(fcinfo, 3);
	sierra_require_argument(fcinfo, 5, "max_bytes");
	store = sierra_store_open(ACL_SELECT);
	sierra_event_pack_begin(&pack, store, max_count, PG_GETARG_INT32(5));
	sierra_read_stream(store, PG_GETARG_TEXT_PP(0), range, pack.sink);
	PG_RETURN_BYTEA_P(sierra_event_pack_end(&pack));
}

Datum
sierra_epscan_packed(PG_FUNCTION_ARGS)
{
	SierraEventPack pack;
	SierraStore *store;
	SierraRange range;
	int64 max_count;
	int partition;

	check_partition_arguments(fcinfo, 5);
	range = get_range(fcinfo, 1, "from_sequence");
	max_count = sierra_arg_max_count(fcinfo, 3);
	sierra_require_argument(fcinfo, 6, "max_bytes");
	store = sierra_store_open(ACL_SELECT);
	partition = get_partition(fcinfo, 5, store);
	sierra_event_pack_begin(&pack, store, max_count, PG_GETARG_INT32(6));
	sierra_read_partition(store, partition, range, pack.sink);
	PG_RETURN_BYTEA_P(sierra_event_pack_end(&pack));
}

/* The filter of an argument: an array of texts, or NULL for no filter. */
static SierraFilter
get_filter(FunctionCallInfo fcinfo, int arg, const char *name)
{
	SierraFilter none = {false, 0, NULL};

	return PG_ARGISNULL(arg) ? none : sierra_filter_of_array(PG_GETARG_ARRAYTYPE_P(arg), name);
}

/* The arguments after_position, which is the first, max_count and backward. */
static SierraReadAll
get_read_all(FunctionCallInfo fcinfo, int arg, int backward)
{
	SierraReadAll request = {0};

	sierra_require_argument(fcinfo, arg, "after_position");
	sierra_require_argument(fcinfo, backward, "backward");
	request.after = PG_GETARG_INT64(arg);
	if (request.after < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("after_position must not be less than -1"),
				errdetail("It is %lld.", (long long) request.after),
				errhint("-1 reads from the start; backward, from the end."));
	request.expected_rows = sierra_arg_max_count(fcinfo, arg + 1);
	request.backward = PG_GETARG_BOOL(backward);
	return request;
}

/* Returns max_count events, which is also what the request expects. */
static Datum
read_all(FunctionCallInfo fcinfo, const SierraReadAll *request)
{
	SierraEventRows result;

	sierra_event_rows_begin(fcinfo, NULL, request->expected_rows, &result);
	if (request->expected_rows > 0)
		sierra_read_all(result.store, request, result.sink);
	return end_reading(&result);
}

Datum
sierra_eall(PG_FUNCTION_ARGS)
{
	SierraReadAll request = get_read_all(fcinfo, 0, 4);

	request.streams = get_filter(fcinfo, 2, "streams");
	request.event_names = get_filter(fcinfo, 3, "event_names");
	request.tags = get_filter(fcinfo, 5, "tags");
	return read_all(fcinfo, &request);
}

Datum
sierra_equery(PG_FUNCTION_ARGS)
{
	SierraEventQuery query;
	SierraReadAll request;

	sierra_event_query_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0), &query);
	request = get_read_all(fcinfo, 1, 3);
	request.query = &query;
	request.bounded = !PG_ARGISNULL(4);
	if (request.bounded)
		request.to = PG_GETARG_INT64(4);
	if (request.bounded && request.to < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("to_position must not be less than -1"),
				errdetail("It is %lld.", (long long) request.to),
				errhint("Pass a result of ehead(), or NULL to read everything."));
	return read_all(fcinfo, &request);
}

/* A sink that keeps one number of the first event that it gets. */
typedef struct NumberSink
{
	SierraSink base;
	AttrNumber column;
	bool found;
	int64 number;
} NumberSink;

static bool
keep_number(SierraSink *base, TupleTableSlot *slot)
{
	NumberSink *sink = (NumberSink *) base;

	sink->number = sierra_slot_int8(slot, sink->column);
	sink->found = true;
	return false;
}

static const SierraRange newest_first = {0, PG_INT64_MAX, true};

Datum
sierra_esver(PG_FUNCTION_ARGS)
{
	NumberSink sink = {.base = {keep_number}, .column = Anum_events_stream_version};
	SierraStore *store;
	text *stream_id;

	sierra_require_argument(fcinfo, 0, "stream_id");
	stream_id = PG_GETARG_TEXT_PP(0);
	store = sierra_store_open(ACL_SELECT);
	if (sierra_store_has_row_security(store))
		sink.found = sierra_row_security_stream_version(store, stream_id, &sink.number);
	else
		sierra_read_stream(store, stream_id, newest_first, &sink.base);
	if (!sink.found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(sink.number);
}

Datum
sierra_epseq(PG_FUNCTION_ARGS)
{
	NumberSink sink = {.base = {keep_number}, .column = Anum_events_partition_sequence};
	SierraStore *store;
	int partition;

	check_partition_arguments(fcinfo, 1);
	store = sierra_store_open(ACL_SELECT);
	partition = get_partition(fcinfo, 1, store);
	if (sierra_store_has_row_security(store))
		sink.found = sierra_row_security_sequence(store, partition, &sink.number);
	else
		sierra_read_partition(store, partition, newest_first, &sink.base);
	if (!sink.found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(sink.number);
}
