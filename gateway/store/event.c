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

/* Copies a value to *to, and moves *to behind it. */
static const char *
keep(const PGresult *result, int row, int column, char **to, size_t *length)
{
	char *value = *to;

	*length = (size_t) PQgetlength(result, row, column);
	memcpy(value, PQgetvalue(result, row, column), *length);
	value[*length] = '\0';
	*to += *length + 1;
	return value;
}

static size_t
text_bytes(const PGresult *result, int row)
{
	static const int columns[] = {COLUMN_STREAM_ID, COLUMN_EVENT_NAME, COLUMN_METADATA,
								  COLUMN_PAYLOAD, COLUMN_PAYLOAD_BYTES};
	size_t bytes = 0;

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		bytes += (size_t) PQgetlength(result, row, columns[i]) + 1;
	return bytes;
}

StoreEvent *
store_event_of_row(const PGresult *result, int row)
{
	size_t bytes = sizeof(StoreEvent) + text_bytes(result, row);
	StoreEvent *event = mem_alloc(bytes);
	char *to = (char *) (event + 1);
	char *metadata;

	event->references = 1;
	event->bytes = bytes;
	event->global_position = store_int8(result, row, COLUMN_GLOBAL_POSITION);
	event->partition_id = store_int4(result, row, COLUMN_PARTITION_ID);
	event->partition_sequence = store_int8(result, row, COLUMN_PARTITION_SEQUENCE);
	event->stream_version = store_int8(result, row, COLUMN_STREAM_VERSION);
	event->timestamp = store_msecs(result, row, COLUMN_TIMESTAMP);
	store_uuid(result, row, COLUMN_EVENT_ID, &event->event_id);
	store_uuid(result, row, COLUMN_PARTITION_KEY, &event->partition_key);
	store_uuid(result, row, COLUMN_TRANSACTION_ID, &event->transaction_id);
	event->stream_id = keep(result, row, COLUMN_STREAM_ID, &to, &event->stream_id_length);
	event->event_name = keep(result, row, COLUMN_EVENT_NAME, &to, &event->event_name_length);
	/* at most one of the two is not NULL, and NULL has no bytes */
	event->payload =
		keep(result, row,
			 PQgetisnull(result, row, COLUMN_PAYLOAD_BYTES) ? COLUMN_PAYLOAD : COLUMN_PAYLOAD_BYTES,
			 &to, &event->payload_length);
	metadata = to;
	event->metadata = keep(result, row, COLUMN_METADATA, &to, &event->metadata_length);
	metadata_unwrap(metadata, &event->metadata_length);
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
