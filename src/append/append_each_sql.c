/*
 * append_each_sql.c
 *		The SQL functions eappend_each() and eappend_each_packed(): many calls in one statement.
 *
 * A refusal is a row of the result and not an error, so it does not undo the other calls.
 */
#include "postgres.h"

#include "append/append_each.h"
#include "append/append_sql.h"
#include "base/pack.h"
#include "store/extension.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_eappend_each);
PG_FUNCTION_INFO_V1(sierra_eappend_each_packed);

/* Columns of sierra_append_outcome: these, and then those of sierra_append_result. */
enum
{
	COLUMN_STATUS,
	COLUMN_SQLSTATE,
	COLUMN_MESSAGE,
	COLUMN_DETAIL,
	COLUMN_HINT,
	COLUMN_TABLE,
	COLUMN_COLUMN,
	COLUMN_CONSTRAINT,
	COLUMN_RESULT,
	COLUMNS = COLUMN_RESULT + SIERRA_APPEND_RESULT_COLUMNS
};

/* Of the columns of sierra_append_result, those that a refused event has too. */
#define RESULT_EVENT_ID 0
#define RESULT_STREAM_ID 4

/* Where rows go, and the two texts that most of them have. */
typedef struct Rows
{
	ReturnSetInfo *rsinfo;
	Datum appended;
	Datum repeated;
} Rows;

static void
set_text(Datum *values, bool *nulls, int column, const char *value)
{
	nulls[column] = value == NULL;
	if (value != NULL)
		values[column] = CStringGetTextDatum(value);
}

static void
form_refusal(const ErrorData *error, Datum *values, bool *nulls)
{
	memset(nulls, true, sizeof(bool) * COLUMNS);
	set_text(values, nulls, COLUMN_STATUS, "refused");
	set_text(values, nulls, COLUMN_SQLSTATE, unpack_sql_state(error->sqlerrcode));
	set_text(values, nulls, COLUMN_MESSAGE, error->message);
	set_text(values, nulls, COLUMN_DETAIL, error->detail);
	set_text(values, nulls, COLUMN_HINT, error->hint);
	set_text(values, nulls, COLUMN_TABLE, error->table_name);
	set_text(values, nulls, COLUMN_COLUMN, error->column_name);
	set_text(values, nulls, COLUMN_CONSTRAINT, error->constraint_name);
}

static void
put(ReturnSetInfo *rsinfo, Datum *values, bool *nulls)
{
	CHECK_FOR_INTERRUPTS();
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_refused(const SierraBatch *batch, const ErrorData *error, int first, int count, void *arg)
{
	const Rows *rows = arg;
	const SierraArray *ids = &batch->arrays[SIERRA_ARRAY_EVENT_IDS];
	const SierraArray *streams = &batch->arrays[SIERRA_ARRAY_STREAM_IDS];
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];

	form_refusal(error, values, nulls);
	for (int i = first; i < first + count; i++)
	{
		nulls[COLUMN_RESULT + RESULT_EVENT_ID] = !sierra_array_has(ids, i);
		if (sierra_array_has(ids, i))
			values[COLUMN_RESULT + RESULT_EVENT_ID] = ids->values[i];
		nulls[COLUMN_RESULT + RESULT_STREAM_ID] = !sierra_array_has(streams, i);
		values[COLUMN_RESULT + RESULT_STREAM_ID] = streams->values[i];
		put(rows->rsinfo, values, nulls);
	}
}

static void
put_stored(const SierraBatch *batch, const SierraAppendCall *call, void *arg)
{
	const Rows *rows = arg;
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];

	memset(nulls, true, sizeof(nulls));
	nulls[COLUMN_STATUS] = false;
	values[COLUMN_STATUS] = call->status == SIERRA_APPEND_DONE ? rows->appended : rows->repeated;
	for (int i = call->first; i < call->first + call->count; i++)
	{
		sierra_append_form_result(&batch->events[i], &batch->results[i], &values[COLUMN_RESULT],
								  &nulls[COLUMN_RESULT]);
		put(rows->rsinfo, values, nulls);
	}
}

Datum
sierra_eappend_each(PG_FUNCTION_ARGS)
{
	SierraBatch batch;
	Rows rows = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo,
				 .appended = CStringGetTextDatum("appended"),
				 .repeated = CStringGetTextDatum("repeated")};

	sierra_batch_run(fcinfo, &batch);
	InitMaterializedSRF(fcinfo, 0);
	sierra_extension_check_desc(rows.rsinfo->setDesc, COLUMNS);
	sierra_batch_report(&batch, put_refused, put_stored, &rows);
	return (Datum) 0;
}

/*
 * The outcome as one value of bytes, for sierra_gateway (gateway/store/batch.c): a result row
 * costs more than a tenth of its append.  For each element, in network byte order:
 *
 *		byte	1: it is stored; then
 *		uuid	event_id, partition_key
 *		int32	partition_id
 *		int64	partition_sequence, stream_version, timestamp in PostgreSQL's microseconds
 *
 *		byte	0: its call is refused; then
 *		string	SQLSTATE, message, detail, names of table, column and constraint, each with a zero
 *				byte at its end; empty if there is none
 */
#define STORED_SIZE (1 + 2 * UUID_LEN + sizeof(int32) + 3 * sizeof(int64))

static void
pack_string(StringInfo pack, const char *string)
{
	appendBinaryStringInfo(pack, string != NULL ? string : "",
						   string != NULL ? (int) strlen(string) + 1 : 1);
}

static void
pack_refused(const SierraBatch *batch, const ErrorData *error, int first, int count, void *arg)
{
	StringInfo pack = arg;

	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		appendStringInfoChar(pack, 0);
		pack_string(pack, unpack_sql_state(error->sqlerrcode));
		pack_string(pack, error->message);
		pack_string(pack, error->detail);
		pack_string(pack, error->table_name);
		pack_string(pack, error->column_name);
		pack_string(pack, error->constraint_name);
	}
}

static void
pack_stored(const SierraBatch *batch, const SierraAppendCall *call, void *arg)
{
	StringInfo pack = arg;

	for (int i = call->first; i < call->first + call->count; i++)
	{
		const SierraAppendResult *result = &batch->results[i];
		char *to;

		CHECK_FOR_INTERRUPTS();
		enlargeStringInfo(pack, STORED_SIZE);
		to = pack->data + pack->len;
		*to++ = 1;
		to = sierra_pack_bytes(to, batch->events[i].event_id.data, UUID_LEN);
		to = sierra_pack_bytes(to, result->stream->key.data, UUID_LEN);
		to = sierra_pack_int32(to, result->stream->partition);
		to = sierra_pack_int64(to, result->partition_sequence);
		to = sierra_pack_int64(to, result->stream_version);
		to = sierra_pack_int64(to, batch->events[i].timestamp);
		pack->len += STORED_SIZE;
	}
}

Datum
sierra_eappend_each_packed(PG_FUNCTION_ARGS)
{
	SierraBatch batch;
	StringInfoData pack;

	sierra_batch_run(fcinfo, &batch);
	initStringInfo(&pack);
	enlargeStringInfo(&pack, VARHDRSZ);
	pack.len = VARHDRSZ;
	sierra_batch_report(&batch, pack_refused, pack_stored, &pack);
	SET_VARSIZE(pack.data, pack.len);
	PG_RETURN_BYTEA_P(pack.data);
}
