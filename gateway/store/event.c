#include "store/event.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "store/metadata.h"

/* The order of STORE_EVENT_COLUMNS. */
enum
{
	COLUMN_GLOBAL_POSITION,
	COLUMN_PARTITION_ID,
	COLUMN_PARTITION_SEQUENCE,
	COLUMN_STREAM_ID,
	COLUMN_STREAM_VERSION,
	COLUMN_EVENT_ID,
	COLUMN_EVENT_NAME,
	COLUMN_TIMESTAMP,
	COLUMN_PARTITION_KEY,
	COLUMN_TRANSACTION_ID,
	COLUMN_METADATA,
	COLUMN_PAYLOAD,
	COLUMN_PAYLOAD_BYTES
};

int64_t
store_int8(const PGresult *result, int row, int column)
{
	uint64_t value;

	if (PQgetlength(result, row, column) != sizeof(value))
		return 0;
	memcpy(&value, PQgetvalue(result, row, column), sizeof(value));
	return (int64_t) be64toh(value);
}

int32_t
store_int4(const PGresult *result, int row, int column)
{
	uint32_t value;

	if (PQgetlength(result, row, column) != sizeof(value))
		return 0;
	memcpy(&value, PQgetvalue(result, row, column), sizeof(value));
	return (int32_t) ntohl(value);
}

void
store_uuid(const PGresult *result, int row, int column, Uuid *uuid)
{
	memset(uuid, 0, sizeof(*uuid));
	if (PQgetlength(result, row, column) == sizeof(uuid->bytes))
		memcpy(uuid->bytes, PQgetvalue(result, row, column), sizeof(uuid->bytes));
}

int64_t
store_msecs(const PGresult *result, int row, int column)
{
	return clock_of_postgres(store_int8(result, row, column));
}

static const char *
read_bytes(const PGresult *result, int row, int column, size_t *length)
{
	*length = (size_t) PQgetlength(result, row, column);
	return PQgetvalue(result, row, column);
}

char *
store_event_unwrap(StoreEvent *event)
{
	char *unwrapped;

	if (!metadata_has_envelope(event->metadata, event->metadata_length))
		return NULL;
	unwrapped = mem_alloc(event->metadata_length + 1);
	memcpy(unwrapped, event->metadata, event->metadata_length);
	event->metadata = unwrapped;
	metadata_unwrap(unwrapped, &event->metadata_length);
	return unwrapped;
}

/* Without a copy of the strings. */
static void
read_row(const PGresult *result, int row, StoreEvent *event)
{
	event->global_position = store_int8(result, row, COLUMN_GLOBAL_POSITION);
	event->partition_id = store_int4(result, row, COLUMN_PARTITION_ID);
	event->partition_sequence = store_int8(result, row, COLUMN_PARTITION_SEQUENCE);
	event->stream_version = store_int8(result, row, COLUMN_STREAM_VERSION);
	event->timestamp = store_msecs(result, row, COLUMN_TIMESTAMP);
	store_uuid(result, row, COLUMN_EVENT_ID, &event->event_id);
	store_uuid(result, row, COLUMN_PARTITION_KEY, &event->partition_key);
	store_uuid(result, row, COLUMN_TRANSACTION_ID, &event->transaction_id);
	event->stream_id = read_bytes(result, row, COLUMN_STREAM_ID, &event->stream_id_length);
	event->event_name = read_bytes(result, row, COLUMN_EVENT_NAME, &event->event_name_length);
	event->metadata = read_bytes(result, row, COLUMN_METADATA, &event->metadata_length);
	/* not more than one of the two is not NULL, and NULL has no bytes */
	event->payload = read_bytes(
		result, row,
		PQgetisnull(result, row, COLUMN_PAYLOAD_BYTES) ? COLUMN_PAYLOAD : COLUMN_PAYLOAD_BYTES,
		&event->payload_length);
}

/* Moves a string to *to, and *to behind it. */
static void
keep(const char **string, size_t length, char **to)
{
	char *copy = *to;

	memcpy(copy, *string, length);
	copy[length] = '\0';
	*string = copy;
	*to += length + 1;
}

static StoreEvent *
copy_event(const StoreEvent *from)
{
	size_t bytes = sizeof(StoreEvent) + from->stream_id_length + from->event_name_length +
				   from->metadata_length + from->payload_length + 4;
	StoreEvent *event = mem_alloc(bytes);
	char *to = (char *) (event + 1);

	*event = *from;
	event->references = 1;
	event->bytes = bytes;
	keep(&event->stream_id, event->stream_id_length, &to);
	keep(&event->event_name, event->event_name_length, &to);
	keep(&event->payload, event->payload_length, &to);
	keep(&event->metadata, event->metadata_length, &to);
	return event;
}

StoreEvent *
store_event_of_row(const PGresult *result, int row)
{
	StoreEvent in_result = {0};
	char *unwrapped;
	StoreEvent *event;

	read_row(result, row, &in_result);
	unwrapped = store_event_unwrap(&in_result);
	event = copy_event(&in_result);
	free(unwrapped);
	return event;
}

StoreEvent *
store_event_ref(StoreEvent *event)
{
	event->references++;
	return event;
}

void
store_event_unref(StoreEvent *event)
{
	if (event != NULL && --event->references == 0)
		free(event);
}
