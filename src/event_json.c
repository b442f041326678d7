/*
 * event_json.c
 *		Events as a JSON array: the form of emappend() that is easy to type.
 *
 * Payloads must come out as the very bytes that went in.  The server's JSON
 * parser cannot cut them out: with member names it also de-escapes every
 * string, and refuses \u0000, which type json stores.  But a value of type
 * json has been parsed before, so finding the ends of its parts is all that
 * is left to do.  De-escaping the strings we need is left to the server.
 */
#include "postgres.h"

#include "compat.h"
#include "event_json.h"
#include "uuid.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* A part of a JSON text, without surrounding white space. */
typedef struct Slice
{
	const char *start;
	int length;
} Slice;

typedef struct Reader
{
	const char *at;
	const char *end;
	int element; /* of the array, from 0, for messages */
} Reader;

typedef enum Member
{
	MEMBER_STREAM_ID,
	MEMBER_EVENT_NAME,
	MEMBER_PAYLOAD,
	MEMBER_METADATA,
	MEMBER_PAYLOAD_BYTES,
	MEMBER_EXPECTED_VERSION,
	MEMBER_EVENT_ID,
	MEMBER_TIMESTAMP,
	MEMBER_COUNT
} Member;

static const char *const member_names[MEMBER_COUNT] = {
	"stream_id",	 "event_name",		 "payload",	 "metadata",
	"payload_bytes", "expected_version", "event_id", "timestamp"};

static void
refuse(const char *message, const char *detail)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
			errdetail("%s", detail),
			errhint("Pass [{\"stream_id\": \"...\", \"event_name\": \"...\", \"payload\": ...}, "
					"...]."));
}

static void
skip_space(Reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) != NULL)
		reader->at++;
}

/* Moves past c, and white space after it, if c comes next. */
static bool
accept(Reader *reader, char c)
{
	if (reader->at >= reader->end || *reader->at != c)
		return false;
	reader->at++;
	skip_space(reader);
	return true;
}

static void
skip_string(Reader *reader)
{
	for (reader->at++; *reader->at != '"'; reader->at++)
	{
		if (*reader->at == '\\')
			reader->at++;
	}
	reader->at++;
}

/* Cuts out the next value of any kind. */
static Slice
read_value(Reader *reader)
{
	Slice slice = {reader->at, 0};
	int depth = 0;

	do
	{
		char c = *reader->at;

		if (c == '"')
		{
			skip_string(reader);
			if (depth == 0)
				break;
			continue;
		}
		if (depth == 0 && strchr(",]} \t\n\r", c) != NULL)
			break;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		reader->at++;
		if (depth == 0 && (c == '}' || c == ']'))
			break;
	} while (reader->at < reader->end);

	slice.length = reader->at - slice.start;
	skip_space(reader);
	return slice;
}

static inline bool
slice_is(Slice slice, const char *text)
{
	return slice.length == (int) strlen(text) && memcmp(slice.start, text, slice.length) == 0;
}

static text *
slice_text(Slice slice)
{
	return cstring_to_text_with_len(slice.start, slice.length);
}

/* The text of a string, the digits of a number. */
static char *
slice_value(Slice slice)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum result;

	if (*slice.start != '"')
		return pnstrdup(slice.start, slice.length);

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(slice_text(slice));
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(construct_empty_array(TEXTOID));
	fcinfo->args[1].isnull = false;
	result = json_extract_path_text(fcinfo);
	return TextDatumGetCString(result);
}

static void
require_string(Reader *reader, Member member, Slice slice)
{
	if (*slice.start != '"')
		refuse(
			psprintf("member \"%s\" of an event must be a string", member_names[member]),
			psprintf("Element %d of the array has another kind of value there.", reader->element));
}

static Member
read_member_name(Reader *reader)
{
	Slice slice = read_value(reader);
	char *name = slice_value(slice);

	for (int member = 0; member < MEMBER_COUNT; member++)
	{
		if (strcmp(name, member_names[member]) == 0)
			return member;
	}
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("an event has no member \"%s\"", name),
			errdetail("Element %d of the array has it.", reader->element),
			errhint("The members are stream_id, event_name, payload, metadata, payload_bytes, "
					"expected_version, event_id and timestamp."));
}

static void
read_expected_version(Reader *reader, Slice slice, SierraNewEvent *event)
{
	char *value = slice_value(slice);

	if (!sierra_expected_version_parse(value, &event->expected))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid expected version: \"%s\"", value),
				errdetail("Element %d of the array has it.", reader->element),
				errhint("Use any, exists, empty or a version from 0 on."));
}

/* Whole milliseconds are exact; the server's conversion from a double is not. */
static TimestampTz
timestamp_of_msecs(const char *value)
{
	int64 msecs = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(value)));
	int64 timestamp;

	if (pg_sub_s64_overflow(msecs, SIERRA_UNIX_EPOCH_MSECS, &msecs) ||
		pg_mul_s64_overflow(msecs, 1000, &timestamp) || !IS_VALID_TIMESTAMP(timestamp))
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				errmsg("timestamp out of range: %s", value),
				errhint("A number is a count of Unix milliseconds."));
	return timestamp;
}

/* Unix milliseconds, or what type timestamptz reads. */
static void
read_timestamp(Slice slice, SierraNewEvent *event)
{
	char *value = slice_value(slice);

	event->has_timestamp = true;
	if (*slice.start == '"')
		event->timestamp = DatumGetTimestampTz(
			DirectFunctionCall3(timestamptz_in, CStringGetDatum(value),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	else if (value[strspn(value, "-0123456789")] == '\0')
		event->timestamp = timestamp_of_msecs(value);
	else
	{
		double msecs = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(value)));

		event->timestamp = DatumGetTimestampTz(
			DirectFunctionCall1(float8_timestamptz, Float8GetDatum(msecs / 1000.0)));
	}
}

static bytea *
read_base64(Slice slice)
{
	char *value = slice_value(slice);

	return DatumGetByteaP(DirectFunctionCall2(binary_decode, CStringGetTextDatum(value),
											  CStringGetTextDatum("base64")));
}

static void
read_member(Reader *reader, Member member, Slice slice, SierraNewEvent *event)
{
	if (member != MEMBER_PAYLOAD && member != MEMBER_METADATA &&
		member != MEMBER_EXPECTED_VERSION && member != MEMBER_TIMESTAMP)
		require_string(reader, member, slice);

	switch (member)
	{
		case MEMBER_STREAM_ID:
			event->stream_id = cstring_to_text(slice_value(slice));
			break;
		case MEMBER_EVENT_NAME:
			event->event_name = cstring_to_text(slice_value(slice));
			break;
		case MEMBER_PAYLOAD:
			event->payload = slice_text(slice);
			break;
		case MEMBER_METADATA:
			event->metadata = slice_text(slice);
			break;
		case MEMBER_PAYLOAD_BYTES:
			event->payload_bytes = read_base64(slice);
			break;
		case MEMBER_EXPECTED_VERSION:
			read_expected_version(reader, slice, event);
			break;
		case MEMBER_EVENT_ID:
			event->has_event_id = true;
			event->event_id =
				*DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(slice_value(slice))));
			break;
		case MEMBER_TIMESTAMP:
			read_timestamp(slice, event);
			break;
		case MEMBER_COUNT:
			break;
	}
}

static void
read_event(Reader *reader, SierraNewEvent *event)
{
	bool seen[MEMBER_COUNT] = {false};

	memset(event, 0, sizeof(*event));
	event->expected = SIERRA_EXPECT_ANY;
	if (!accept(reader, '{'))
		refuse("events must be a JSON array of objects",
			   psprintf("Element %d of the array is no object.", reader->element));

	while (!accept(reader, '}'))
	{
		Member member = read_member_name(reader);
		Slice slice;

		(void) accept(reader, ':');
		slice = read_value(reader);
		if (seen[member])
			refuse(psprintf("member \"%s\" of an event occurs twice", member_names[member]),
				   psprintf("It is in element %d of the array.", reader->element));
		seen[member] = true;
		/* esver() of a new stream is null: that must not become "any". */
		if (member == MEMBER_EXPECTED_VERSION && slice_is(slice, "null"))
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("member \"%s\" of an event must not be null", member_names[member]),
					errdetail("It is null in element %d of the array.", reader->element),
					errhint("Use \"empty\" for a stream that must not have events; leave the "
							"member out for no expectation."));
		if (!slice_is(slice, "null"))
			read_member(reader, member, slice, event);
		(void) accept(reader, ',');
	}

	for (Member member = MEMBER_STREAM_ID; member <= MEMBER_EVENT_NAME; member++)
	{
		if ((member == MEMBER_STREAM_ID ? event->stream_id : event->event_name) == NULL)
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("member \"%s\" of an event must not be null", member_names[member]),
					errdetail("It is missing in element %d of the array.", reader->element));
	}
}

SierraNewEvent *
sierra_event_json_read(const text *json, int *count)
{
	Reader reader = {.at = VARDATA_ANY(json), .end = VARDATA_ANY(json) + VARSIZE_ANY_EXHDR(json)};
	int capacity = 16;
	SierraNewEvent *events = palloc(sizeof(SierraNewEvent) * capacity);

	*count = 0;
	skip_space(&reader);
	if (!accept(&reader, '['))
		refuse("events must be a JSON array of objects", "The value is no array.");
	while (!accept(&reader, ']'))
	{
		if (*count == capacity)
		{
			capacity *= 2;
			events = repalloc_huge(events, sizeof(SierraNewEvent) * capacity);
		}
		reader.element = *count;
		read_event(&reader, &events[(*count)++]);
		(void) accept(&reader, ',');
	}
	return events;
}
