/*
 * decode_json.c
 *		Format json of the output plugin: an object for each message.
 *
 * metadata and payload are embedded as the exact text that was stored.  That
 * text is JSON, so the whole message is JSON.
 */
#include "postgres.h"

#include "base/json_write.h"
#include "decoding/decode_format.h"

static void
add_null(StringInfo out, const char *name)
{
	sierra_json_add_name(out, name);
	appendStringInfoString(out, "null");
}

static void
add_lsn(StringInfo out, const char *name, XLogRecPtr lsn)
{
	sierra_json_add_name(out, name);
	appendStringInfo(out, "\"%X/%X\"", LSN_FORMAT_ARGS(lsn));
}

/* Null for none, as the column has it. */
static void
add_tags(StringInfo out, const char *name, const SierraTags *tags)
{
	if (tags->count > 0)
		sierra_json_add_texts(out, name, tags->items, tags->count);
	else
		add_null(out, name);
}

/*
 * With single_line, line breaks become spaces.  That does not change a value:
 * JSON has line breaks only between its tokens, never inside a string.
 */
static void
add_json(StringInfo out, const char *name, const text *value, bool single_line)
{
	int start;

	if (value == NULL)
	{
		add_null(out, name);
		return;
	}
	sierra_json_add_name(out, name);
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
	if (value != NULL)
		sierra_json_add_base64(out, name, value);
	else
		add_null(out, name);
}

static void
write_begin(StringInfo out, const ReorderBufferTXN *txn)
{
	appendStringInfo(out, "{\"type\":\"begin\",\"xid\":%u", txn->xid);
	add_lsn(out, "commit_lsn", txn->final_lsn);
	sierra_json_add_time(out, "commit_time", txn->xact_time.commit_time);
	appendStringInfoChar(out, '}');
}

static void
write_event(StringInfo out, const SierraDecodedEvent *event, bool single_line)
{
	appendStringInfoString(out, "{\"type\":\"event\"");
	sierra_json_add_string(out, "store", event->store);
	sierra_json_add_int8(out, "global_position", event->global_position);
	sierra_json_add_int8(out, "partition_id", event->partition_id);
	sierra_json_add_int8(out, "partition_sequence", event->partition_sequence);
	sierra_json_add_text(out, "stream_id", event->stream_id);
	sierra_json_add_int8(out, "stream_version", event->stream_version);
	sierra_json_add_uuid(out, "event_id", event->event_id);
	sierra_json_add_text(out, "event_name", event->event_name);
	sierra_json_add_time(out, "timestamp", event->timestamp);
	sierra_json_add_uuid(out, "partition_key", event->partition_key);
	sierra_json_add_uuid(out, "transaction_id", event->transaction_id);
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
	sierra_json_add_time(out, "commit_time", txn->xact_time.commit_time);
	appendStringInfoChar(out, '}');
}

const SierraDecodeFormat sierra_decode_json = {.name = "json",
											   .textual = true,
											   .write_begin = write_begin,
											   .write_event = write_event,
											   .write_commit = write_commit};
