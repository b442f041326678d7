/*
 * list_sql.c
 *		event_streams() and event_names(), and the ids in metadata that etrace() looks for.
 */
#include "postgres.h"

#include "base/args.h"
#include "base/guc.h"
#include "base/json_slice.h"
#include "read/stream_list.h"
#include "store/early_release.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_event_streams);
PG_FUNCTION_INFO_V1(sierra_event_names);
PG_FUNCTION_INFO_V1(sierra_metadata_id);

/* Opens the store that the first argument names; the caller must see all of its events. */
static SierraStore *
open_store(FunctionCallInfo fcinfo, const char *what)
{
	SierraStore *store = sierra_store_open_named(
		PG_ARGISNULL(0) ? sierra_guc_store : NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);

	sierra_flush_seen();
	if (sierra_store_has_row_security(store))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("cannot list %s under row-level security", what),
				errdetail("A policy of table %s.events holds for role \"%s\".",
						  NameStr(store->name), GetUserNameFromId(GetUserId(), false)),
				errhint("Call it as the owner of the store."));
	return store;
}

/* The argument max_events, a bigint of at least 0; NULL means no limit. */
static int64
get_max_events(FunctionCallInfo fcinfo, int arg)
{
	int64 max_events = PG_ARGISNULL(arg) ? PG_INT64_MAX : PG_GETARG_INT64(arg);

	if (max_events < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_events must not be negative"),
				errdetail("It is %lld.", (long long) max_events),
				errhint("Pass NULL to read everything."));
	return max_events;
}

static void
put_stream(void *arg, const SierraListedStream *stream)
{
	ReturnSetInfo *result = arg;
	bool nulls[8] = {false};
	Datum values[8];

	values[0] = PointerGetDatum(stream->stream_id);
	values[1] = Int32GetDatum(stream->partition);
	values[2] = Int64GetDatum(stream->last_version + 1);
	values[3] = Int64GetDatum(stream->last_version);
	values[4] = Int64GetDatum(stream->last_position);
	values[5] = PointerGetDatum(stream->last_event_name);
	values[6] = TimestampTzGetDatum(stream->first_at);
	values[7] = TimestampTzGetDatum(stream->last_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* event_streams(store, prefix, after, max_count, newest_first, max_events) */
Datum
sierra_event_streams(PG_FUNCTION_ARGS)
{
	SierraStore *store;
	const text *prefix;
	const text *after = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	int64 max_count;
	int64 max_events;

	sierra_require_argument(fcinfo, 1, "prefix");
	sierra_require_argument(fcinfo, 4, "newest_first");
	prefix = PG_GETARG_TEXT_PP(1);
	max_count = sierra_arg_max_count(fcinfo, 3);
	max_events = get_max_events(fcinfo, 5);
	if (after != NULL && PG_GETARG_BOOL(4))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("arguments \"after\" and \"newest_first\" exclude each other"),
				errdetail("Which streams are the newest can change between two calls."),
				errhint("Increase max_count, or list the streams by their names."));
	store = open_store(fcinfo, "streams");
	InitMaterializedSRF(fcinfo, 0);
	if (PG_GETARG_BOOL(4))
		sierra_list_newest_streams(store, prefix, max_count, max_events, put_stream,
								   fcinfo->resultinfo);
	else
		sierra_list_streams(store, prefix, after, max_count, put_stream, fcinfo->resultinfo);
	return (Datum) 0;
}

static void
put_name(void *arg, const SierraListedName *name)
{
	ReturnSetInfo *result = arg;
	bool nulls[5] = {false};
	Datum values[5];

	values[0] = PointerGetDatum(name->event_name);
	values[1] = Int64GetDatum(name->events);
	values[2] = Int64GetDatum(name->last_position);
	values[3] = TimestampTzGetDatum(name->first_at);
	values[4] = TimestampTzGetDatum(name->last_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* event_names(store, max_events) */
Datum
sierra_event_names(PG_FUNCTION_ARGS)
{
	int64 max_events = get_max_events(fcinfo, 1);
	SierraStore *store = open_store(fcinfo, "names of events");

	InitMaterializedSRF(fcinfo, 0);
	sierra_list_event_names(store, max_events, put_name, fcinfo->resultinfo);
	return (Datum) 0;
}

/*
 * Is there an escape with which the string may not be a text? \u0000 is one, and so is half of a
 * surrogate pair.  Whole pairs count too: ids seldom have any.
 */
static bool
has_doubtful_escape(SierraSlice string)
{
	for (int i = 0; i + 6 <= string.length; i++)
	{
		const char *at = string.start + i;

		if (*at != '\\')
			continue;
		if (at[1] == 'u' && (memcmp(at + 2, "0000", 4) == 0 ||
							 ((at[2] == 'd' || at[2] == 'D') && strchr("89abcdefABCDEF", at[3]))))
			return true;
		i++; /* the character after a backslash is not one itself */
	}
	return false;
}

/*
 * The value of a member of metadata, if it is a string or a number of 1 to SIERRA_NAME_MAX bytes,
 * else NULL.  It must not fail: there can be an index on it, which would refuse the append.
 */
Datum
sierra_metadata_id(PG_FUNCTION_ARGS)
{
	text *metadata = PG_GETARG_TEXT_PP(0);
	char *name = psprintf("\"%s\"", text_to_cstring(PG_GETARG_TEXT_PP(1)));
	SierraSlice value = sierra_json_member(metadata, name);

	/* An escape has up to 6 bytes for one. */
	if (value.start == NULL || value.length > 6 * SIERRA_NAME_MAX + 2 ||
		strchr("\"-0123456789", *value.start) == NULL)
		PG_RETURN_NULL();
	if (*value.start == '"')
	{
		if (has_doubtful_escape(value))
			PG_RETURN_NULL();
		value = sierra_slice_unescape(value);
	}
	if (value.length < 1 || value.length > SIERRA_NAME_MAX)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(sierra_slice_text(value));
}
