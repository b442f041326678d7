/*
 * event_json.c
 *		Reads events from JSON, for emappend(), command handlers and imports.
 *
 * Payload and metadata are stored byte for byte as they are in the array, so they are
 * cut out of it, not parsed and written again.
 *
 * A call can have many small events.  So their texts are kept one behind the other,
 * with a header of one byte where that is possible, and what is needed to read an
 * event is freed when it has been read.
 */
#include "postgres.h"

#include "append/event_json.h"
#include "base/compat.h"
#include "base/json_slice.h"
#include "base/routing.h"
#include "store/event_tags.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

typedef struct Reader
{
	SierraJsonReader json;
	int element;		   /* of the array, for messages */
	text *stream_id;	   /* of all events, which a command handler returned; else NULL */
	SierraLineEvent *line; /* the event is a line of an import; else NULL */
	char *room;			   /* where the next text of an event goes */
	MemoryContext context; /* of the events */
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
	MEMBER_TAGS,

	/* Only lines of an import have these. */
	MEMBER_PAYLOAD_TEXT,
	MEMBER_METADATA_TEXT,
	MEMBER_PARTITION_KEY,
	MEMBER_STREAM_VERSION,
	MEMBER_TRANSACTION_ID,
	MEMBER_GLOBAL_POSITION,
	MEMBER_PARTITION_ID,
	MEMBER_PARTITION_SEQUENCE,
	MEMBER_COUNT
} Member;

#define MEMBERS_OF_APPEND MEMBER_PAYLOAD_TEXT

static const char *const member_names[MEMBER_COUNT] = {
	"stream_id",		"event_name",		 "payload",		   "metadata",		 "payload_bytes",
	"expected_version", "event_id",			 "timestamp",	   "tags",			 "payload_text",
	"metadata_text",	"partition_key",	 "stream_version", "transaction_id", "global_position",
	"partition_id",		"partition_sequence"};

static void
refuse(const Reader *reader, const char *message, const char *detail)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
			errdetail("%s", detail),
			reader->line != NULL ? errhint("Pass lines such as those of export_events().")
			: reader->stream_id != NULL
				? errhint("Return [{\"event_name\": \"...\", \"payload\": ...}, ...].")
				: errhint("Pass [{\"stream_id\": \"...\", \"event_name\": \"...\", \"payload\": "
						  "...}, ...]."));
}

static void
require_string(Reader *reader, Member member, SierraSlice slice)
{
	if (*slice.start != '"')
		refuse(reader, psprintf("member \"%s\" of an event must be a string", member_names[member]),
			   psprintf("In element %d of the array it is not a string.", reader->element));
}

/* A string without quotes and escapes, any other value as it is, with a final NUL. */
static char *
value_of(SierraSlice slice)
{
	SierraSlice value = sierra_slice_unescape(slice);

	return pnstrdup(value.start, value.length);
}

/*
 * Copies the value of a member.  There is room: the copy with its header and padding is
 * shorter than the member with its name.
 */
static struct varlena *
keep(Reader *reader, SierraSlice value)
{
	struct varlena *copy;

	if (value.length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		copy = (struct varlena *) reader->room;
		SET_VARSIZE_SHORT(copy, value.length + VARHDRSZ_SHORT);
	}
	else
	{
		copy = (struct varlena *) INTALIGN(reader->room);
		SET_VARSIZE(copy, value.length + VARHDRSZ);
	}
	memcpy(VARDATA_ANY(copy), value.start, value.length);
	reader->room = (char *) copy + VARSIZE_ANY(copy);
	return copy;
}

static Member
read_member_name(Reader *reader)
{
	SierraSlice name = sierra_slice_unescape(sierra_json_read(&reader->json));

	for (int member = 0; member < (reader->line != NULL ? MEMBER_COUNT : MEMBERS_OF_APPEND);
		 member++)
	{
		if (sierra_slice_is(name, member_names[member]) &&
			!(reader->line != NULL && member == MEMBER_EXPECTED_VERSION))
			return member;
	}
	ereport(
		ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		errmsg("an event has no member \"%s\"", sierra_slice_shown(name)),
		errdetail("Element %d of the array has it.", reader->element),
		reader->line != NULL ? errhint("The members are those of the lines of export_events().")
		: reader->stream_id != NULL
			? errhint("The members are event_name, payload, metadata, payload_bytes, event_id, "
					  "timestamp and tags.")
			: errhint("The members are stream_id, event_name, payload, metadata, payload_bytes, "
					  "expected_version, event_id, timestamp and tags."));
}

static void
read_expected_version(Reader *reader, SierraSlice slice, SierraNewEvent *event)
{
	char *value = value_of(slice);

	if (!sierra_expected_version_parse(value, &event->expected))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid expected version: \"%s\"", value),
				errdetail("Element %d of the array has it.", reader->element),
				errhint("Use any, exists, empty or a version from 0 on."));
}

/* Converts whole milliseconds exactly; the server's conversion from a double is not exact. */
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

/* Reads a number of Unix milliseconds, or the text of a timestamptz. */
static void
read_timestamp(SierraSlice slice, SierraNewEvent *event)
{
	char *value = value_of(slice);

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
read_base64(Reader *reader, SierraSlice slice)
{
	text *value = sierra_slice_text(sierra_slice_unescape(slice));
	bytea *bytes = DatumGetByteaPP(
		DirectFunctionCall2(binary_decode, PointerGetDatum(value), CStringGetTextDatum("base64")));

	return keep(reader, (SierraSlice){VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)});
}

/* Tags take more room than their JSON, so they do not go where the texts go. */
static ArrayType *
read_tags(const Reader *reader, SierraSlice slice)
{
	ArrayType *tags = sierra_tags_of_json(slice);
	ArrayType *copy;

	if (tags == NULL)
		return NULL;
	copy = MemoryContextAlloc(reader->context, VARSIZE(tags));
	memcpy(copy, tags, VARSIZE(tags));
	return copy;
}

/* A document in a string, byte for byte. */
static text *
read_document(Reader *reader, Member member, SierraSlice slice)
{
	char *value = value_of(slice);

	if (!sierra_compat_is_json(value))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("member \"%s\" of an event is not JSON", member_names[member]),
				errdetail("It is in element %d of the array.", reader->element));
	return keep(reader, (SierraSlice){value, strlen(value)});
}

static void
read_version(Reader *reader, SierraSlice slice)
{
	int64 version = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(value_of(slice))));

	if (version < 0)
		refuse(reader, "member \"stream_version\" of an event must not be negative",
			   psprintf("In element %d of the array it is %lld.", reader->element,
						(long long) version));
	reader->line->has_version = true;
	reader->line->version = version;
}

/* A member that only lines of an import have.  The numbers that a store gives are left out. */
static void
read_member_of_line(Reader *reader, Member member, SierraSlice slice, SierraNewEvent *event)
{
	if (member < MEMBER_STREAM_VERSION || member == MEMBER_TRANSACTION_ID)
		require_string(reader, member, slice);
	switch (member)
	{
		case MEMBER_PAYLOAD_TEXT:
			event->payload = read_document(reader, member, slice);
			break;
		case MEMBER_METADATA_TEXT:
			event->metadata = read_document(reader, member, slice);
			break;
		case MEMBER_PARTITION_KEY:
			reader->line->has_key = true;
			sierra_event_parse_key(sierra_slice_text(sierra_slice_unescape(slice)),
								   &reader->line->key);
			break;
		case MEMBER_STREAM_VERSION:
			read_version(reader, slice);
			break;
		case MEMBER_TRANSACTION_ID:
			reader->line->has_transaction = true;
			reader->line->transaction_id =
				*DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(value_of(slice))));
			break;
		default:
			break;
	}
}

static void
read_member(Reader *reader, Member member, SierraSlice slice, SierraNewEvent *event)
{
	if (member >= MEMBERS_OF_APPEND)
	{
		read_member_of_line(reader, member, slice, event);
		return;
	}
	if (member != MEMBER_PAYLOAD && member != MEMBER_METADATA &&
		member != MEMBER_EXPECTED_VERSION && member != MEMBER_TIMESTAMP && member != MEMBER_TAGS)
		require_string(reader, member, slice);

	switch (member)
	{
		case MEMBER_STREAM_ID:
			event->stream_id = keep(reader, sierra_slice_unescape(slice));
			break;
		case MEMBER_EVENT_NAME:
			event->event_name = keep(reader, sierra_slice_unescape(slice));
			break;
		case MEMBER_PAYLOAD:
			event->payload = keep(reader, slice);
			break;
		case MEMBER_METADATA:
			event->metadata = keep(reader, slice);
			break;
		case MEMBER_PAYLOAD_BYTES:
			event->payload_bytes = read_base64(reader, slice);
			break;
		case MEMBER_EXPECTED_VERSION:
			read_expected_version(reader, slice, event);
			break;
		case MEMBER_EVENT_ID:
			event->has_event_id = true;
			event->event_id =
				*DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(value_of(slice))));
			break;
		case MEMBER_TIMESTAMP:
			read_timestamp(slice, event);
			break;
		case MEMBER_TAGS:
			event->tags = read_tags(reader, slice);
			break;
		default:
			break;
	}
}

static void
refuse_both(const Reader *reader, const bool *given, Member member, Member other)
{
	if (given[member] && given[other])
		refuse(reader,
			   psprintf("members \"%s\" and \"%s\" of an event exclude each other",
						member_names[member], member_names[other]),
			   psprintf("Both are in element %d of the array.", reader->element));
}

static void
read_event(Reader *reader, SierraNewEvent *event)
{
	bool seen[MEMBER_COUNT] = {false};
	bool given[MEMBER_COUNT] = {false}; /* and not null */

	memset(event, 0, sizeof(*event));
	event->expected = SIERRA_EXPECT_ANY;
	event->stream_id = reader->stream_id;
	if (!sierra_json_accept(&reader->json, '{'))
		refuse(reader,
			   reader->line != NULL ? "a line must be a JSON object"
									: "events must be a JSON array of objects",
			   psprintf("Element %d of the array is not an object.", reader->element));

	while (!sierra_json_accept(&reader->json, '}'))
	{
		Member member = read_member_name(reader);
		SierraSlice slice;

		(void) sierra_json_accept(&reader->json, ':');
		slice = sierra_json_read(&reader->json);
		if (seen[member])
			refuse(reader, psprintf("member \"%s\" of an event occurs twice", member_names[member]),
				   psprintf("It is in element %d of the array.", reader->element));
		seen[member] = true;
		if (reader->stream_id != NULL &&
			(member == MEMBER_STREAM_ID || member == MEMBER_EXPECTED_VERSION))
			refuse(reader,
				   psprintf("a command handler must not set member \"%s\" of an event",
							member_names[member]),
				   psprintf("Element %d of the array has it.", reader->element));
		/* esver() of a new stream is null, and must not have the effect of "any". */
		if (member == MEMBER_EXPECTED_VERSION && sierra_slice_is(slice, "null"))
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("member \"%s\" of an event must not be null", member_names[member]),
					errdetail("It is null in element %d of the array.", reader->element),
					errhint("Use \"empty\" for a stream that must not have events; leave the "
							"member out for no expectation."));
		given[member] = !sierra_slice_is(slice, "null");
		if (given[member])
			read_member(reader, member, slice, event);
		(void) sierra_json_accept(&reader->json, ',');
	}

	refuse_both(reader, given, MEMBER_PAYLOAD, MEMBER_PAYLOAD_TEXT);
	refuse_both(reader, given, MEMBER_METADATA, MEMBER_METADATA_TEXT);
	for (Member member = MEMBER_STREAM_ID; member <= MEMBER_EVENT_NAME; member++)
	{
		if ((member == MEMBER_STREAM_ID ? event->stream_id : event->event_name) == NULL)
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("member \"%s\" of an event must not be null", member_names[member]),
					errdetail("It is missing in element %d of the array.", reader->element));
	}
}

/*
 * If json is an object with member events, with which a condition can be passed: cuts both
 * out, and returns a reader of the events.
 */
static SierraJsonReader
open_json(const text *json, SierraSlice *condition)
{
	SierraSlice events = sierra_json_member(json, "\"events\"");
	SierraSlice given = {NULL, 0};
	SierraJsonReader reader;
	SierraJsonMember member;

	*condition = (SierraSlice){NULL, 0};
	if (events.start == NULL)
		return sierra_json_begin(json);
	(void) sierra_json_begin_object(&reader, json);
	while (sierra_json_next_member(&reader, &member))
	{
		bool is_events = sierra_slice_is(member.name, "\"events\"");
		SierraSlice *part = is_events ? &given : condition;

		if (!is_events && !sierra_slice_is(member.name, "\"condition\""))
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("an object with events has no member %s", sierra_slice_shown(member.name)),
				errhint("The members are events and condition."));
		/* Of two conditions, both would have to hold. */
		if (part->start != NULL)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("member %.*s of an object with events occurs twice", member.name.length,
						   member.name.start),
					errhint("Pass each member once."));
		*part = member.value;
	}
	return (SierraJsonReader){events.start, events.start + events.length};
}

static SierraNewEvent *
read_events(const text *json, SierraJsonReader from, text *stream_id, int *count)
{
	Reader reader = {.json = from, .stream_id = stream_id, .context = CurrentMemoryContext};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch;
	int capacity = 16;
	SierraNewEvent *events = palloc(sizeof(SierraNewEvent) * capacity);

	*count = 0;
	if (!sierra_json_accept(&reader.json, '['))
		refuse(&reader, "events must be a JSON array of objects", "The value is not an array.");
	reader.room = MemoryContextAllocHuge(caller, VARSIZE_ANY_EXHDR(json));
	scratch = AllocSetContextCreate(caller, "sierra_es event in JSON", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(scratch);
	while (!sierra_json_accept(&reader.json, ']'))
	{
		CHECK_FOR_INTERRUPTS();
		if (*count == capacity)
		{
			capacity *= 2;
			events = repalloc_huge(events, sizeof(SierraNewEvent) * capacity);
		}
		reader.element = *count;
		read_event(&reader, &events[(*count)++]);
		(void) sierra_json_accept(&reader.json, ',');
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return events;
}

SierraNewEvent *
sierra_event_json_read(const text *json, int *count, text **condition)
{
	SierraSlice given;
	SierraJsonReader from = open_json(json, &given);

	*condition =
		given.start == NULL || sierra_slice_is(given, "null") ? NULL : sierra_slice_text(given);
	return read_events(json, from, NULL, count);
}

SierraNewEvent *
sierra_event_json_read_of_stream(const text *json, text *stream_id, int *count)
{
	return read_events(json, sierra_json_begin(json), stream_id, count);
}

void
sierra_event_json_read_line(const text *json, int element, SierraLineEvent *line)
{
	Reader reader = {.json = sierra_json_begin(json),
					 .element = element,
					 .line = line,
					 .context = CurrentMemoryContext};

	line->has_key = line->has_version = line->has_transaction = false;
	reader.room = MemoryContextAllocHuge(CurrentMemoryContext, VARSIZE_ANY_EXHDR(json));
	read_event(&reader, &line->event);
}
