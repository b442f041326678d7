/*
 * message_read.c
 *		The functions of schema message_store that read.
 *
 * Their errors have the SQLSTATEs and texts of message-db, which clients compare.
 *
 * A condition is SQL of the caller.  The server runs it in sierra_filter(), an SQL function of
 * extension sierra_message_store, which calls these functions without the condition.
 */
#include "postgres.h"

#include "messages/message_rows.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/scan.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(sierra_message_get_stream);
PG_FUNCTION_INFO_V1(sierra_message_get_category);
PG_FUNCTION_INFO_V1(sierra_message_get_all);
PG_FUNCTION_INFO_V1(sierra_message_get_last);
PG_FUNCTION_INFO_V1(sierra_message_version);
PG_FUNCTION_INFO_V1(sierra_message_head);

#define DEFAULT_BATCH_SIZE 1000

static bool
has_dash(const text *name)
{
	return memchr(VARDATA_ANY(name), '-', VARSIZE_ANY_EXHDR(name)) != NULL;
}

static text *
get_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : PG_GETARG_TEXT_PP(arg);
}

/* As PL/pgSQL writes it in a message. */
static const char *
shown(const text *value)
{
	return value != NULL ? text_to_cstring(value) : "<NULL>";
}

static void
raise_exception(const char *message)
{
	ereport(ERROR, errcode(ERRCODE_RAISE_EXCEPTION), errmsg("%s", message));
}

static int64
get_number(FunctionCallInfo fcinfo, int arg, int64 if_null)
{
	return PG_ARGISNULL(arg) ? if_null : PG_GETARG_INT64(arg);
}

/* Raises the error of message-db unless the session may read with conditions. */
static void
check_condition_allowed(void)
{
	const char *setting = GetConfigOption("message_store.sql_condition", true, false);

	if (setting == NULL || *setting == '\0' || strcmp(setting, "off") == 0)
		raise_exception("Retrieval with SQL condition is not activated");
}

/* How many messages a batch size allows; -1 does not limit them. */
static int64
limit_of(int64 batch_size)
{
	if (batch_size == -1)
		return PG_INT64_MAX;
	if (batch_size < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE),
				errmsg("LIMIT must not be negative"));
	return batch_size;
}

/* What a group or a correlation leaves of a category. */
typedef struct Choice
{
	const text *category;
	const text *correlation; /* or NULL */
	int64 member;
	int64 size; /* 0: there is no group */
	MemoryContext context;
} Choice;

/* Is this the category of the stream: what comes before its first '-', or all? */
static bool
is_category_of(const text *category, const char *stream, int length)
{
	const char *dash = memchr(stream, '-', length);
	int category_length = dash != NULL ? dash - stream : length;

	return VARSIZE_ANY_EXHDR(category) == category_length &&
		   memcmp(VARDATA_ANY(category), stream, category_length) == 0;
}

/* What hash_64() returns: the first half of the MD5 sum. */
static int64
hash_64(const char *value, int length)
{
	text *sum = DatumGetTextPP(DirectFunctionCall1Coll(
		md5_text, C_COLLATION_OID, PointerGetDatum(cstring_to_text_with_len(value, length))));
	char digits[17];

	memcpy(digits, VARDATA_ANY(sum), 16);
	digits[16] = '\0';
	return (int64) strtoull(digits, NULL, 16);
}

/* Does the stream belong to the member?  Streams without a cardinal id belong to nobody. */
static bool
is_of_member(const Choice *choice, const text *stream)
{
	const char *start = VARDATA_ANY(stream);
	const char *end = start + VARSIZE_ANY_EXHDR(stream);
	const char *id = memchr(start, '-', end - start);
	const char *plus;
	int64 hash;

	if (id == NULL)
		return false;
	id++;
	plus = memchr(id, '+', end - id);
	hash = hash_64(id, (plus != NULL ? plus : end) - id);
	if (hash == PG_INT64_MIN)
		ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("bigint out of range"));
	return (hash < 0 ? -hash : hash) % choice->size == choice->member;
}

/* Is the category of metadata->>'correlationStreamName' the correlation? */
static bool
is_correlated(const Choice *choice, TupleTableSlot *slot)
{
	LOCAL_FCINFO(call, 2);
	bool isnull;
	Datum metadata = slot_getattr(slot, Anum_events_metadata, &isnull);
	Datum name;

	if (isnull)
		return false;
	InitFunctionCallInfoData(*call, NULL, 2, DEFAULT_COLLATION_OID, NULL, NULL);
	call->args[0].value = metadata;
	call->args[0].isnull = false;
	call->args[1].value = CStringGetTextDatum("correlationStreamName");
	call->args[1].isnull = false;
	name = json_object_field_text(call);
	return !call->isnull && is_category_of(choice->correlation, VARDATA_ANY(DatumGetTextPP(name)),
										   VARSIZE_ANY_EXHDR(DatumGetTextPP(name)));
}

static bool
is_chosen(void *arg, TupleTableSlot *slot)
{
	const Choice *choice = arg;
	const text *stream = sierra_slot_text(slot, Anum_events_stream_id);
	MemoryContext old;
	bool chosen;

	if (!is_category_of(choice->category, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream)))
		return false;
	if (choice->size == 0 && choice->correlation == NULL)
		return true;
	MemoryContextReset(choice->context);
	old = MemoryContextSwitchTo(choice->context);
	chosen = (choice->size == 0 || is_of_member(choice, stream)) &&
			 (choice->correlation == NULL || is_correlated(choice, slot));
	MemoryContextSwitchTo(old);
	return chosen;
}

/* A filter that no stream of another category passes unless the category has a star. */
static SierraFilter
streams_of(const text *category)
{
	SierraFilter filter = {.given = true, .count = 2};
	int length = VARSIZE_ANY_EXHDR(category);
	char *pattern = palloc(length + 2);

	memcpy(pattern, VARDATA_ANY(category), length);
	memcpy(pattern + length, "-*", 2);
	filter.items = palloc(sizeof(text *) * 2);
	filter.items[0] = cstring_to_text_with_len(pattern, length);
	filter.items[1] = cstring_to_text_with_len(pattern, length + 2);
	return filter;
}

/* Reads from a global position on: those of the choice, or all if it is NULL. */
static Datum
read_messages(FunctionCallInfo fcinfo, int64 position, int64 limit, Choice *choice)
{
	SierraReadAll request = {0};
	SierraMessageRows result;

	sierra_message_rows_begin(fcinfo, limit, &result);
	request.after = Max(position, SIERRA_FIRST_MESSAGE) - SIERRA_FIRST_MESSAGE - 1;
	request.expected_rows = limit;
	if (choice != NULL)
	{
		request.streams = streams_of(choice->category);
		request.wants = is_chosen;
		request.arg = choice;
		choice->context =
			AllocSetContextCreate(CurrentMemoryContext, "message choice", ALLOCSET_SMALL_SIZES);
	}
	if (limit > 0)
		(void) sierra_read_all(result.store, &request, result.sink);
	sierra_message_rows_end(&result);
	return (Datum) 0;
}

/* The arguments of sierra_filter(). */
#define NARGS_FILTER 8

static const Oid filter_types[NARGS_FILTER] = {BOOLOID,	   VARCHAROID, INT8OID, INT8OID,
											   VARCHAROID, INT8OID,	   INT8OID, VARCHAROID};

/* The owner of the schema can rename it, and make another one with a function of this name. */
static void
check_filter(void)
{
	if (!OidIsValid(sierra_extension_function_in("sierra_message_store", SIERRA_MESSAGE_STORE,
												 "sierra_filter", NARGS_FILTER, filter_types)))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("extension \"sierra_message_store\" has no function %s.sierra_filter",
					   SIERRA_MESSAGE_STORE),
				errhint("If its schema was renamed, undo that."));
}

/* Its rows become rows of the caller, so they must have the same types. */
static void
check_filter_desc(TupleDesc found, TupleDesc wanted)
{
	bool fits = found->natts == wanted->natts;

	for (int i = 0; i < wanted->natts && fits; i++)
	{
		FormData_pg_attribute *attribute = TupleDescAttr(found, i);

		fits =
			!attribute->attisdropped && attribute->atttypid == TupleDescAttr(wanted, i)->atttypid;
	}
	if (!fits)
		ereport(ERROR, errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("function %s.sierra_filter returns other columns than its caller",
					   SIERRA_MESSAGE_STORE));
}

/* Reads with a condition; the values are the arguments of sierra_filter(), NULL those not given. */
static Datum
read_with_condition(FunctionCallInfo fcinfo, Datum *values, const char *nulls)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid types[NARGS_FILTER];

	check_condition_allowed();
	check_filter();
	InitMaterializedSRF(fcinfo, 0);
	memcpy(types, filter_types, sizeof(types));
	SPI_connect();
	if (SPI_execute_with_args("SELECT * FROM " SIERRA_MESSAGE_STORE
							  ".sierra_filter($1, $2, $3, $4, $5, $6, $7, $8)",
							  NARGS_FILTER, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "sierra_filter() failed");
	check_filter_desc(SPI_tuptable->tupdesc, rsinfo->setDesc);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	return (Datum) 0;
}

Datum
sierra_message_get_stream(PG_FUNCTION_ARGS)
{
	text *stream_name = get_text(fcinfo, 0);
	int64 position = get_number(fcinfo, 1, 0);
	int64 batch_size = get_number(fcinfo, 2, DEFAULT_BATCH_SIZE);
	SierraMessageRows result;
	int64 limit;

	if (stream_name == NULL || !has_dash(stream_name))
		raise_exception(psprintf("Must be a stream name: %s", shown(stream_name)));
	if (!PG_ARGISNULL(3))
	{
		Datum values[NARGS_FILTER] = {BoolGetDatum(false), PG_GETARG_DATUM(0),
									  Int64GetDatum(position), Int64GetDatum(batch_size)};

		values[NARGS_FILTER - 1] = PG_GETARG_DATUM(3);
		return read_with_condition(fcinfo, values, "    nnn ");
	}
	limit = limit_of(batch_size);
	sierra_message_rows_begin(fcinfo, limit, &result);
	if (limit > 0)
		sierra_read_stream(result.store, stream_name,
						   (SierraRange){Max(position, 0), PG_INT64_MAX, false}, result.sink);
	sierra_message_rows_end(&result);
	return (Datum) 0;
}

/* The arguments of get_category_messages(). */
enum
{
	ARG_CATEGORY,
	ARG_POSITION,
	ARG_BATCH_SIZE,
	ARG_CORRELATION,
	ARG_MEMBER,
	ARG_SIZE,
	ARG_CONDITION
};

static const char *
shown_number(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? "<NULL>" : psprintf("%lld", (long long) PG_GETARG_INT64(arg));
}

static void
raise_group(FunctionCallInfo fcinfo, const char *what)
{
	raise_exception(
		psprintf("Consumer group %s (Consumer Group Member: %s, Consumer Group Size: %s)", what,
				 shown_number(fcinfo, ARG_MEMBER), shown_number(fcinfo, ARG_SIZE)));
}

/* Refuses what message-db refuses, in its order. */
static void
check_group(FunctionCallInfo fcinfo)
{
	bool has_member = !PG_ARGISNULL(ARG_MEMBER);

	if (has_member != !PG_ARGISNULL(ARG_SIZE))
		raise_group(fcinfo, "member and size must be specified");
	if (!has_member)
		return;
	if (PG_GETARG_INT64(ARG_SIZE) < 1)
		raise_group(fcinfo, "size must not be less than 1");
	if (PG_GETARG_INT64(ARG_MEMBER) < 0)
		raise_group(fcinfo, "member must not be less than 0");
	if (PG_GETARG_INT64(ARG_MEMBER) >= PG_GETARG_INT64(ARG_SIZE))
		raise_group(fcinfo, "member must be less than the group size");
}

Datum
sierra_message_get_category(PG_FUNCTION_ARGS)
{
	Choice choice = {.category = get_text(fcinfo, ARG_CATEGORY),
					 .correlation = get_text(fcinfo, ARG_CORRELATION)};
	int64 position = get_number(fcinfo, ARG_POSITION, SIERRA_FIRST_MESSAGE);
	int64 batch_size = get_number(fcinfo, ARG_BATCH_SIZE, DEFAULT_BATCH_SIZE);
	int64 limit;

	if (choice.category != NULL && has_dash(choice.category))
		raise_exception(psprintf("Must be a category: %s", shown(choice.category)));
	if (choice.correlation != NULL && has_dash(choice.correlation))
		raise_exception(psprintf("Correlation must be a category (Correlation: %s)",
								 shown(choice.correlation)));
	check_group(fcinfo);
	choice.member = get_number(fcinfo, ARG_MEMBER, 0);
	choice.size = get_number(fcinfo, ARG_SIZE, 0);
	if (!PG_ARGISNULL(ARG_CONDITION))
		check_condition_allowed();
	if (choice.size > PG_INT16_MAX)
		ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				errmsg("smallint out of range"));
	if (!PG_ARGISNULL(ARG_CONDITION))
	{
		Datum values[NARGS_FILTER] = {BoolGetDatum(true), PG_GETARG_DATUM(ARG_CATEGORY),
									  Int64GetDatum(position), Int64GetDatum(batch_size)};
		char nulls[NARGS_FILTER + 1] = "        ";

		nulls[1] = choice.category == NULL ? 'n' : ' ';
		for (int arg = ARG_CORRELATION; arg <= ARG_CONDITION; arg++)
		{
			values[arg + 1] = PG_GETARG_DATUM(arg);
			nulls[arg + 1] = PG_ARGISNULL(arg) ? 'n' : ' ';
		}
		return read_with_condition(fcinfo, values, nulls);
	}
	limit = limit_of(batch_size);
	return read_messages(fcinfo, position, choice.category != NULL ? limit : 0,
						 choice.category != NULL ? &choice : NULL);
}

Datum
sierra_message_get_all(PG_FUNCTION_ARGS)
{
	return read_messages(fcinfo, get_number(fcinfo, 0, SIERRA_FIRST_MESSAGE),
						 limit_of(get_number(fcinfo, 1, DEFAULT_BATCH_SIZE)), NULL);
}

Datum
sierra_message_get_last(PG_FUNCTION_ARGS)
{
	SierraMessageRows result;
	text *stream_name = get_text(fcinfo, 0);

	sierra_message_rows_begin(fcinfo, 1, &result);
	result.type = get_text(fcinfo, 1);
	if (stream_name != NULL)
		sierra_read_stream(result.store, stream_name, (SierraRange){0, PG_INT64_MAX, true},
						   result.sink);
	sierra_message_rows_end(&result);
	return (Datum) 0;
}

Datum
sierra_message_version(PG_FUNCTION_ARGS)
{
	SierraStore *store = sierra_store_open_named(SIERRA_MESSAGE_STORE, ACL_SELECT);
	int64 version = SIERRA_NONE;

	if (!PG_ARGISNULL(0))
	{
		sierra_message_snapshot_begin();
		version = sierra_message_stream_version(store, PG_GETARG_TEXT_PP(0));
		sierra_message_snapshot_end();
	}
	if (version == SIERRA_NONE)
		PG_RETURN_NULL();
	PG_RETURN_INT64(version);
}

/* The highest global position of a message that can be read now without skipping one. */
Datum
sierra_message_head(PG_FUNCTION_ARGS)
{
	SierraStore *store = sierra_store_open_named(SIERRA_MESSAGE_STORE, ACL_SELECT);

	PG_RETURN_INT64(sierra_read_horizon(store) + SIERRA_FIRST_MESSAGE);
}
