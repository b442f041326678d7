/*
 * message_write.c
 *		write_message() of schema message_store.
 *
 * Its errors are those of message-db, in the order of message-db: the expected version is
 * compared first, then the id is read, then NULLs are refused, then an id that is in use.
 * Clients know these errors by their SQLSTATEs and texts.
 */
#include "postgres.h"

#include <ctype.h>

#include "append/append.h"
#include "messages/message_rows.h"
#include "store/event.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(sierra_message_write);

/* The arguments of write_message(); NULL for those that are null. */
typedef struct NewMessage
{
	const char *id;
	text *stream_name;
	text *type;
	bool has_expected;
	int64 expected;
} NewMessage;

/* Does this text have the form of a UUID, as the type uuid reads it? */
static bool
is_uuid(const char *id)
{
	bool braces = *id == '{';

	id += braces;
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (!isxdigit((unsigned char) id[0]) || !isxdigit((unsigned char) id[1]))
			return false;
		id += 2;
		if (*id == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			id++;
	}
	if (braces && *id++ != '}')
		return false;
	return *id == '\0';
}

/* The version of the stream in words of message-db: -1 without messages. */
static void
report_wrong_version(const NewMessage *message, const char *version)
{
	char *text = psprintf(
		"Wrong expected version: %lld (Stream: %s, Stream Version: %s)",
		(long long) message->expected,
		message->stream_name != NULL ? text_to_cstring(message->stream_name) : "<NULL>", version);

	ereport(ERROR, errcode(ERRCODE_RAISE_EXCEPTION), errmsg("%s", text));
}

/* Raises the error for a wrong version, for a message that is refused in any case. */
static void
check_version(const SierraStore *store, const NewMessage *message)
{
	int64 version = SIERRA_NONE;

	if (!message->has_expected)
		return;
	if (message->stream_name != NULL)
	{
		sierra_message_snapshot_begin();
		version = sierra_message_stream_version(store, message->stream_name);
		sierra_message_snapshot_end();
	}
	if (version != message->expected)
		report_wrong_version(message, psprintf("%lld", (long long) version));
}

static void
report_null(const char *column)
{
	ereport(
		ERROR, errcode(ERRCODE_NOT_NULL_VIOLATION),
		errmsg("null value in column \"%s\" of relation \"messages\" violates not-null constraint",
			   column));
}

/* Raises the error of a message that cannot be stored; the id is not null and not a UUID, if bad.
 */
static void
refuse_invalid(const NewMessage *message, bool bad_id)
{
	if (bad_id)
		(void) DirectFunctionCall1(uuid_in, CStringGetDatum(message->id));
	if (message->stream_name == NULL)
		report_null("stream_name");
	if (message->type == NULL)
		report_null("type");
	if (message->id == NULL)
		report_null("id");
}

/* Does the session want to get the position of a message that it has written before? */
static bool
is_idempotent(void)
{
	const char *setting = GetConfigOption("message_store.idempotent", true, false);
	bool value = false;

	if (setting == NULL || *setting == '\0')
		return false;
	if (!parse_bool(setting, &value))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("parameter \"%s\" requires a Boolean value", "message_store.idempotent"));
	return value;
}

static void
report_duplicate(const NewMessage *message)
{
	ereport(ERROR, errcode(ERRCODE_UNIQUE_VIOLATION),
			errmsg("duplicate key value violates unique constraint \"messages_id\""),
			errdetail("Key (id)=(%s) already exists.", message->id));
}

/* What message-db expects is -1 for a stream without messages; less is never right. */
static SierraExpectedVersion
expected_version_of(const NewMessage *message)
{
	if (!message->has_expected)
		return SIERRA_EXPECT_ANY;
	return message->expected < 0 ? SIERRA_EXPECT_EMPTY : message->expected;
}

static int64
append_message(const SierraStore *store, const NewMessage *message, SierraNewEvent *event)
{
	SierraAppendResult result;
	SierraRefusal refusal;
	SierraAppendStatus status;

	if (message->has_expected && message->expected < SIERRA_NONE)
		check_version(store, message);
	sierra_event_check(event);
	event->expected = expected_version_of(message);
	status = sierra_append(store, NULL, event, 1, NULL, &result, &refusal);
	if (status == SIERRA_APPEND_REPEATED && is_idempotent())
		return result.stream_version;
	if (status == SIERRA_APPEND_WRONG_VERSION)
		report_wrong_version(message, refusal.hidden
										  ? "hidden"
										  : psprintf("%lld", (long long) refusal.current_version));
	if (status == SIERRA_APPEND_REPEATED || status == SIERRA_APPEND_DUPLICATE_EVENT)
	{
		check_version(store, message);
		report_duplicate(message);
	}
	sierra_refusal_report(status, &refusal);
	return result.stream_version;
}

/* The text of a jsonb, as a cast to text writes it. */
static text *
jsonb_text(Datum value)
{
	Jsonb *jsonb = DatumGetJsonbP(value);
	StringInfoData buffer;

	initStringInfo(&buffer);
	appendStringInfoSpaces(&buffer, VARHDRSZ);
	(void) JsonbToCString(&buffer, &jsonb->root, VARSIZE(jsonb));
	SET_VARSIZE(buffer.data, buffer.len);
	return (text *) buffer.data;
}

/* Metadata of an event are an object or null, so the jsonb null becomes the latter. */
static text *
metadata_text(Datum value)
{
	Jsonb *jsonb = DatumGetJsonbP(value);
	JsonbValue scalar;

	if (JB_ROOT_IS_SCALAR(jsonb) && JsonbExtractScalar(&jsonb->root, &scalar) &&
		scalar.type == jbvNull)
		return NULL;
	return jsonb_text(JsonbPGetDatum(jsonb));
}

Datum
sierra_message_write(PG_FUNCTION_ARGS)
{
	NewMessage message = {0};
	SierraNewEvent event = {0};
	SierraStore *store;
	bool bad_id;

	message.id = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	message.stream_name = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	message.type = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	message.has_expected = !PG_ARGISNULL(5);
	message.expected = message.has_expected ? PG_GETARG_INT64(5) : 0;
	store = sierra_store_open_named(SIERRA_MESSAGE_STORE, ACL_INSERT);

	bad_id = message.id != NULL && !is_uuid(message.id);
	if (bad_id || message.id == NULL || message.stream_name == NULL || message.type == NULL)
	{
		check_version(store, &message);
		refuse_invalid(&message, bad_id);
	}
	event.has_event_id = true;
	event.event_id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(message.id)));
	event.stream_id = message.stream_name;
	event.event_name = message.type;
	event.payload = PG_ARGISNULL(3) ? NULL : jsonb_text(PG_GETARG_DATUM(3));
	event.metadata = PG_ARGISNULL(4) ? NULL : metadata_text(PG_GETARG_DATUM(4));
	/* As the default of column time in message-db: the time of the transaction. */
	event.has_timestamp = true;
	event.timestamp = GetCurrentTransactionStartTimestamp();
	PG_RETURN_INT64(append_message(store, &message, &event));
}
