/*
 * message_rows.c
 *		The result rows of the functions of schema message_store: events as messages.
 */
#include "postgres.h"

#include "base/text.h"
#include "messages/message_rows.h"
#include "read/read_stream.h"
#include "read/row_security.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/scan.h"

#include "access/xact.h"
#include "funcapi.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

/* Columns of type message. */
#define NATTS_MESSAGE 8

/* A UUID as a text, in memory of the caller. */
typedef struct UuidText
{
	union
	{
		int32 header;
		char bytes[VARHDRSZ + 36];
	} data;
} UuidText;

static Datum
uuid_to_text(const pg_uuid_t *uuid, UuidText *result)
{
	static const char digits[] = "0123456789abcdef";
	char *end = result->data.bytes + VARHDRSZ;

	SET_VARSIZE(result, sizeof(result->data.bytes));
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*end++ = '-';
		*end++ = digits[uuid->data[i] >> 4];
		*end++ = digits[uuid->data[i] & 0x0f];
	}
	return PointerGetDatum(result);
}

/* Takes an event, as values in the order of sierra_event; false: needs no more. */
static bool
put_values(void *arg, Datum *event, bool *event_nulls)
{
	SierraMessageRows *result = arg;
	Datum values[NATTS_MESSAGE];
	bool nulls[NATTS_MESSAGE] = {false};
	UuidText id;

	if (result->type != NULL &&
		!sierra_text_equal(DatumGetTextPP(event[SIERRA_EVENT_NAME]), result->type))
		return true;
	values[0] = uuid_to_text(DatumGetUUIDP(event[SIERRA_EVENT_ID]), &id);
	values[1] = event[SIERRA_EVENT_STREAM];
	values[2] = event[SIERRA_EVENT_NAME];
	values[3] = event[SIERRA_EVENT_VERSION];
	values[4] = Int64GetDatum(DatumGetInt64(event[SIERRA_EVENT_POSITION]) + SIERRA_FIRST_MESSAGE);
	values[5] = event[SIERRA_EVENT_PAYLOAD];
	nulls[5] = event_nulls[SIERRA_EVENT_PAYLOAD];
	values[6] = event[SIERRA_EVENT_METADATA];
	nulls[6] = event_nulls[SIERRA_EVENT_METADATA];
	/* The bytes of a timestamptz are those of its timestamp in UTC. */
	values[7] = event[SIERRA_EVENT_TIMESTAMP];
	tuplestore_putvalues(result->rows, result->desc, values, nulls);
	return --result->remaining > 0;
}

static bool
put_event(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	sierra_event_values(slot, values, nulls);
	return put_values(base, values, nulls);
}

void
sierra_message_snapshot_begin(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
sierra_message_snapshot_end(void)
{
	PopActiveSnapshot();
}

void
sierra_message_rows_begin(FunctionCallInfo fcinfo, int64 limit, SierraMessageRows *result)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	sierra_extension_check_desc(rsinfo->setDesc, NATTS_MESSAGE);
	result->base.put = put_event;
	result->store = sierra_store_open_named(SIERRA_MESSAGE_STORE, ACL_SELECT);
	result->rows = rsinfo->setResult;
	result->desc = rsinfo->setDesc;
	result->remaining = limit;
	result->type = NULL;
	sierra_message_snapshot_begin();
	result->row_security = sierra_store_has_row_security(result->store);
	result->sink = result->row_security
					   ? sierra_row_security_sink(result->store, put_values, result, limit)
					   : &result->base;
}

void
sierra_message_rows_end(SierraMessageRows *result)
{
	if (result->row_security)
		sierra_row_security_finish(result->sink);
	sierra_message_snapshot_end();
}

/* A sink that keeps the version of the first event that it gets. */
typedef struct VersionSink
{
	SierraSink base;
	int64 version;
} VersionSink;

static bool
keep_version(SierraSink *base, TupleTableSlot *slot)
{
	((VersionSink *) base)->version = sierra_slot_int8(slot, Anum_events_stream_version);
	return false;
}

int64
sierra_message_stream_version(const SierraStore *store, const text *stream_name)
{
	VersionSink sink = {{keep_version}, SIERRA_NONE};

	if (sierra_store_has_row_security(store))
	{
		if (!sierra_row_security_stream_version(store, stream_name, &sink.version))
			return SIERRA_NONE;
	}
	else
		sierra_read_stream(store, stream_name, (SierraRange){0, PG_INT64_MAX, true}, &sink.base);
	return sink.version;
}
