/*
 * decode_json.c
 *		Format json of the output plugin: an object for each message.
 *
 * metadata and payload are embedded as the exact text that was stored.  That
 * text is JSON, so the whole message is JSON.
 */
#include "postgres.h"

#include "base/routing.h"
#include "decoding/decode_format.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"

static void
add_string(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, ",\"%s\":", name);
	escape_json(out, value);
}

static void
add_text(StringInfo out, const char *name, const text *value)
{
	char *string = text_to_cstring(value);

	add_string(out, name, string);
	pfree(string);
}

static void
add_int8(StringInfo out, const char *name, int64 value)
{
	appendStringInfo(out, ",\"%s\":" INT64_FORMAT, name, value);
}

static void
add_uuid(StringInfo out, const char *name, const pg_uuid_t *value)
{
	char *string = sierra_uuid_text(value);

	add_string(out, name, string);
	pfree(string);
}

static void
add_lsn(StringInfo out, const char *name, XLogRecPtr lsn)
{
	appendStringInfo(out, ",\"%s\":\"%X/%X\"", name, LSN_FORMAT_ARGS(lsn));
}

/* Null for none, as the column has it. */
static void
add_tags(StringInfo out, const char *name, const SierraTags *tags)
{
	appendStringInfo(out, ",\"%s\":%s", name, tags->count == 0 ? "null" : "[");
	for (int i = 0; i < tags->count; i++)
	{
		char *tag = TextDatumGetCString(tags->items[i]);

		if (i > 0)
			appendStringInfoChar(out, ',');
		escape_json(out, tag);
		pfree(tag);
	}
	if (tags->count > 0)
		appendStringInfoChar(out, ']');
}

/* ISO 8601 in UTC, independent of the session's time zone. */
static void
add_time(StringInfo out, const char *name, TimestampTz value)
{
	char buffer[MAXDATELEN + 1];
	int utc = 0;

	JsonEncodeDateTime(buffer, TimestampTzGetDatum(value), TIMESTAMPTZOID, &utc);
	add_string(out, name, buffer);
}

/*
 * With single_line, line breaks become spaces.  That does not change a value:
 * JSON has line breaks only between its tokens, never inside a string.
 */
static void
add_json(StringInfo out, const char *name, const text *value, bool single_line)
{
	int start;

	appendStringInfo(out, ",\"%s\":", name);
	if (value == NULL)
	{
		appendStringInfoString(out, "null");
		return;
	}
	start = out->len;
	appendBinaryStringInfo(out, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	for (char *at = out->data + start; single_line && *at != '\0'; at++)
	{
		if (*at == '\n' || *at == '\r')
			*at = ' ';
	}
}

static void
add_base64(StringInfo out, const char *name, const bytea *value)
{
	int length;

	appendStringInfo(out, ",\"%s\":", name);
	if (value == NULL)
	{
		appendStringInfoString(out, "null");
		return;
	}
	length = pg_b64_enc_len(VARSIZE_ANY_EXHDR(value));
	appendStringInfoChar(out, '"');
	enlargeStringInfo(out, length);
	/* cast to void *, since the type of the argument depends on PostgreSQL's version */
	length = pg_b64_encode((const void *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
						   out->data + out->len, length);
	if (length < 0)
		elog(ERROR, "could not encode payload_bytes");
	out->len += length;
	appendStringInfoChar(out, '"');
}

static void
write_begin(StringInfo out, const ReorderBufferTXN *txn)
{
	appendStringInfo(out, "{\"type\":\"begin\",\"xid\":%u", txn->xid);
	add_lsn(out, "commit_lsn", txn->final_lsn);
	add_time(out, "commit_time", txn->xact_time.commit_time);
	appendStringInfoChar(out, '}');
}

static void
write_event(StringInfo out, const SierraDecodedEvent *event, bool single_line)
{
	appendStringInfoString(out, "{\"type\":\"event\"");
	add_string(out, "store", event->store);
	add_int8(out, "global_position", event->global_position);
	add_int8(out, "partition_id", event->partition_id);
	add_int8(out, "partition_sequence", event->partition_sequence);
	add_text(out, "stream_id", event->stream_id);
	add_int8(out, "stream_version", event->stream_version);
	add_uuid(out, "event_id", event->event_id);
	add_text(out, "event_name", event->event_name);
	add_time(out, "timestamp", event->timestamp);
	add_uuid(out, "partition_key", event->partition_key);
	add_uuid(out, "transaction_id", event->transaction_id);
	if (event->metadata_included)
		add_json(out, "metadata", event->metadata, single_line);
	if (event->payload_included)
	{
		add_json(out, "payload", event->payload, single_line);
		add_base64(out, "payload_bytes", event->payload_bytes);
	}
	add_tags(out, "tags", &event->tags);
	appendStringInfoChar(out, '}');
}

static void
write_commit(StringInfo out, const ReorderBufferTXN *txn)
{
	appendStringInfo(out, "{\"type\":\"commit\",\"xid\":%u", txn->xid);
	add_lsn(out, "commit_lsn", txn->final_lsn);
	add_lsn(out, "end_lsn", txn->end_lsn);
	add_time(out, "commit_time", txn->xact_time.commit_time);
	appendStringInfoChar(out, '}');
}

const SierraDecodeFormat sierra_decode_json = {.name = "json",
											   .textual = true,
											   .write_begin = write_begin,
											   .write_event = write_event,
											   .write_commit = write_commit};
