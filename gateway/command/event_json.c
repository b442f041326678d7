#include "command/event_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"

static void
add_text(struct evbuffer *out, const char *text)
{
	evbuffer_add(out, text, strlen(text));
}

/* UTF-8, as stream ids and names of events are. */
static void
add_string(struct evbuffer *out, const char *text, size_t length)
{
	size_t from = 0;

	evbuffer_add(out, "\"", 1);
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) text[i];

		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		evbuffer_add(out, text + from, i - from);
		if (byte < 0x20)
			evbuffer_add_printf(out, "\\u%04x", byte);
		else
			evbuffer_add_printf(out, "\\%c", byte);
		from = i + 1;
	}
	evbuffer_add(out, text + from, length - from);
	evbuffer_add(out, "\"", 1);
}

static void
add_uuid(struct evbuffer *out, const char *name, const Uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	uuid_text(uuid, text);
	evbuffer_add_printf(out, "\"%s\":\"%s\",", name, text);
}

static void
add_bytes(struct evbuffer *out, const char *name, const char *bytes, size_t length)
{
	char *encoded;

	if (length == 0)
		evbuffer_add_printf(out, ",\"%s\":null", name);
	else if (json_is_valid(bytes, length))
	{
		evbuffer_add_printf(out, ",\"%s\":", name);
		evbuffer_add(out, bytes, length);
	}
	else
	{
		encoded = mem_alloc(base64_length(length));
		base64_encode(bytes, length, encoded);
		evbuffer_add_printf(out, ",\"%s_base64\":\"", name);
		evbuffer_add(out, encoded, base64_length(length));
		add_text(out, "\"");
		free(encoded);
	}
}

void
event_to_json(const StoreEvent *event, struct evbuffer *out)
{
	add_text(out, "{");
	add_uuid(out, "event_id", &event->event_id);
	add_uuid(out, "partition_key", &event->partition_key);
	add_uuid(out, "transaction_id", &event->transaction_id);
	evbuffer_add_printf(out,
						"\"partition_id\":%d,\"partition_sequence\":%lld,\"stream_version\":%lld,"
						"\"timestamp\":%lld,\"stream_id\":",
						event->partition_id, (long long) event->partition_sequence,
						(long long) event->stream_version, (long long) event->timestamp);
	add_string(out, event->stream_id, event->stream_id_length);
	add_text(out, ",\"event_name\":");
	add_string(out, event->event_name, event->event_name_length);
	add_bytes(out, "metadata", event->metadata, event->metadata_length);
	add_bytes(out, "payload", event->payload, event->payload_length);
	add_text(out, "}");
}
