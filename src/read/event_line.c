/*
 * event_line.c
 *		An event as a line of JSON: the format of exports.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/json_write.h"
#include "read/event_line.h"
#include "store/event.h"
#include "store/event_tags.h"

#include "utils/builtins.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Does the text fit on a line, and is it cut out of it again byte for byte? */
static bool
fits_on_line(const char *json, int length)
{
	if (length == 0 || is_space(json[0]) || is_space(json[length - 1]))
		return false;
	if (length == 4 && memcmp(json, "null", 4) == 0)
		return false;
	return memchr(json, '\n', length) == NULL && memchr(json, '\r', length) == NULL;
}

static void
add_json(StringInfo out, const char *name, const char *text_name, Datum value)
{
	text *json = DatumGetTextPP(value);
	const char *start = VARDATA_ANY(json);
	int length = VARSIZE_ANY_EXHDR(json);

	if (fits_on_line(start, length))
	{
		sierra_json_add_name(out, name);
		appendBinaryStringInfo(out, start, length);
	}
	else
		sierra_json_add_text(out, text_name, json);
	if ((Pointer) json != DatumGetPointer(value))
		pfree(json);
}

static void
add_bytes(StringInfo out, Datum value)
{
	bytea *bytes = DatumGetByteaPP(value);

	sierra_json_add_base64(out, "payload_bytes", bytes);
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

static void
add_tags(StringInfo out, Datum value)
{
	SierraTags tags;

	sierra_tags_take_apart(DatumGetArrayTypeP(value), &tags);
	sierra_json_add_texts(out, "tags", tags.items, tags.count);
}

static void
add_place(StringInfo out, const Datum *values)
{
	sierra_json_add_int8(out, "global_position", DatumGetInt64(values[SIERRA_EVENT_POSITION]));
	sierra_json_add_int8(out, "partition_id", DatumGetInt32(values[SIERRA_EVENT_PARTITION]));
	sierra_json_add_int8(out, "partition_sequence", DatumGetInt64(values[SIERRA_EVENT_SEQUENCE]));
}

static void
add_contents(StringInfo out, const Datum *values, const bool *nulls)
{
	if (!nulls[SIERRA_EVENT_TAGS])
		add_tags(out, values[SIERRA_EVENT_TAGS]);
	if (!nulls[SIERRA_EVENT_METADATA])
		add_json(out, "metadata", "metadata_text", values[SIERRA_EVENT_METADATA]);
	if (!nulls[SIERRA_EVENT_PAYLOAD])
		add_json(out, "payload", "payload_text", values[SIERRA_EVENT_PAYLOAD]);
	if (!nulls[SIERRA_EVENT_PAYLOAD_BYTES])
		add_bytes(out, values[SIERRA_EVENT_PAYLOAD_BYTES]);
}

void
sierra_event_line_write(StringInfo out, const Datum *values, const bool *nulls, bool numbers)
{
	appendStringInfoChar(out, '{');
	if (numbers)
		add_place(out, values);
	sierra_json_add_text(out, "stream_id", DatumGetTextPP(values[SIERRA_EVENT_STREAM]));
	sierra_json_add_int8(out, "stream_version", DatumGetInt64(values[SIERRA_EVENT_VERSION]));
	sierra_json_add_uuid(out, "event_id", DatumGetUUIDP(values[SIERRA_EVENT_ID]));
	sierra_json_add_text(out, "event_name", DatumGetTextPP(values[SIERRA_EVENT_NAME]));
	sierra_json_add_time(out, "timestamp", DatumGetTimestampTz(values[SIERRA_EVENT_TIMESTAMP]));
	sierra_json_add_uuid(out, "partition_key", DatumGetUUIDP(values[SIERRA_EVENT_KEY]));
	if (numbers)
		sierra_json_add_uuid(out, "transaction_id",
							 DatumGetUUIDP(values[SIERRA_EVENT_TRANSACTION]));
	add_contents(out, values, nulls);
	appendStringInfoChar(out, '}');
}
