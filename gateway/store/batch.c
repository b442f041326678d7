#include "store/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "store/event.h"
#include "store/metadata.h"

const StoreStatement batch_statement = {
	"append",
	"SELECT sqlstate, message, detail, table_name, column_name, constraint_name, event_id, "
	"partition_key,"
	" partition_id, partition_sequence, stream_version, \"timestamp\""
	" FROM @eappend_each(stream_ids => $1, event_names => $2, payloads => $3, metadatas => $4,"
	" expected_versions => $5, event_ids => $6, timestamps => $7, payload_bytes => $8,"
	" partition_keys => $9, calls => $10)"};

enum
{
	COLUMN_SQLSTATE,
	COLUMN_MESSAGE,
	COLUMN_DETAIL,
	COLUMN_TABLE,
	COLUMN_COLUMN,
	COLUMN_CONSTRAINT,
	COLUMN_EVENT_ID,
	COLUMN_PARTITION_KEY,
	COLUMN_PARTITION_ID,
	COLUMN_PARTITION_SEQUENCE,
	COLUMN_STREAM_VERSION,
	COLUMN_TIMESTAMP
};

/* Which of the columns that may be empty has a value anywhere. */
typedef struct BatchShape
{
	int count;
	bool json;
	bool bytes;
	bool metadata;
	bool timestamps;
	bool keys;
	bool several;
} BatchShape;

#define FOR_EACH_EVENT(append, event, first)                                                       \
	for (const StoreAppend *append = (first); append != NULL; append = append->next)               \
		for (const AppendEvent *event = append->events; event < append->events + append->count;    \
			 event++)

static BatchShape
find_shape(const StoreAppend *first)
{
	BatchShape shape = {0};

	for (const StoreAppend *append = first; append != NULL; append = append->next)
	{
		shape.keys |= append->has_partition_key;
		shape.several |= append->count > 1;
	}
	FOR_EACH_EVENT(append, event, first)
	{
		shape.count++;
		shape.json |= event->is_json && event->payload_length > 0;
		shape.bytes |= !event->is_json && event->payload_length > 0;
		shape.metadata |= event->metadata_length > 0;
		shape.timestamps |= event->timestamp >= 0;
	}
	return shape;
}

static void
add_names(const StoreAppend *first, int count, StoreParameters *parameters)
{
	parameter_array_begin(parameters, OID_TEXT, count);
	FOR_EACH_EVENT(append, event, first)
	parameter_array_add(parameters, event->stream_id, event->stream_id_length);
	parameter_array_end(parameters);

	parameter_array_begin(parameters, OID_TEXT, count);
	FOR_EACH_EVENT(append, event, first)
	parameter_array_add(parameters, event->event_name, event->event_name_length);
	parameter_array_end(parameters);
}

/* Of each event that has a payload, it is in one of the two arrays. */
static void
add_payloads(const StoreAppend *first, int count, bool any, bool json, uint32_t type,
			 StoreParameters *parameters)
{
	if (!any)
	{
		parameter_null(parameters);
		return;
	}
	parameter_array_begin(parameters, type, count);
	FOR_EACH_EVENT(append, event, first)
	{
		if (event->is_json == json && event->payload_length > 0)
			parameter_array_add(parameters, event->payload, event->payload_length);
		else
			parameter_array_add_null(parameters);
	}
	parameter_array_end(parameters);
}

static void
add_envelope(const AppendEvent *event, StoreParameters *parameters)
{
	size_t length = metadata_envelope_length(event->metadata_length);
	char *envelope = mem_alloc(length);

	metadata_wrap(event->metadata, event->metadata_length, envelope);
	parameter_array_add(parameters, envelope, length);
	free(envelope);
}

static void
add_metadatas(const StoreAppend *first, const BatchShape *shape, uint32_t type,
			  StoreParameters *parameters)
{
	if (!shape->metadata)
	{
		parameter_null(parameters);
		return;
	}
	parameter_array_begin(parameters, type, shape->count);
	FOR_EACH_EVENT(append, event, first)
	{
		if (event->metadata_length == 0)
			parameter_array_add_null(parameters);
		else if (event->needs_envelope)
			add_envelope(event, parameters);
		else
			parameter_array_add(parameters, event->metadata, event->metadata_length);
	}
	parameter_array_end(parameters);
}

static void
add_versions_and_ids(const StoreAppend *first, int count, uint32_t version_type,
					 StoreParameters *parameters)
{
	parameter_array_begin(parameters, version_type, count);
	FOR_EACH_EVENT(append, event, first)
	parameter_array_add_int8(parameters, event->expected_version);
	parameter_array_end(parameters);

	parameter_array_begin(parameters, OID_UUID, count);
	FOR_EACH_EVENT(append, event, first)
	parameter_array_add(parameters, event->event_id.bytes, sizeof(event->event_id.bytes));
	parameter_array_end(parameters);
}

static void
add_timestamps(const StoreAppend *first, const BatchShape *shape, StoreParameters *parameters)
{
	if (!shape->timestamps)
	{
		parameter_null(parameters);
		return;
	}
	parameter_array_begin(parameters, OID_TIMESTAMPTZ, shape->count);
	FOR_EACH_EVENT(append, event, first)
	{
		if (event->timestamp >= 0)
			parameter_array_add_int8(parameters, clock_to_postgres(event->timestamp));
		else
			parameter_array_add_null(parameters);
	}
	parameter_array_end(parameters);
}

/* A key is given at the first event of its call. */
static void
add_keys(const StoreAppend *first, const BatchShape *shape, StoreParameters *parameters)
{
	if (!shape->keys)
	{
		parameter_null(parameters);
		return;
	}
	parameter_array_begin(parameters, OID_TEXT, shape->count);
	FOR_EACH_EVENT(append, event, first)
	{
		char text[UUID_TEXT_SIZE];

		if (!append->has_partition_key || event != append->events)
		{
			parameter_array_add_null(parameters);
			continue;
		}
		uuid_text(&append->partition_key, text);
		parameter_array_add(parameters, text, UUID_TEXT_SIZE - 1);
	}
	parameter_array_end(parameters);
}

static void
add_calls(const StoreAppend *first, const BatchShape *shape, StoreParameters *parameters)
{
	int call = 0;

	if (!shape->several)
	{
		/* each event is a call */
		parameter_null(parameters);
		return;
	}
	parameter_array_begin(parameters, OID_INT4, shape->count);
	for (const StoreAppend *append = first; append != NULL; append = append->next, call++)
		for (int i = 0; i < append->count; i++)
			parameter_array_add_int4(parameters, call);
	parameter_array_end(parameters);
}

void
batch_parameters(const StoreAppend *first, uint32_t expected_version_type, uint32_t json_type,
				 StoreParameters *parameters)
{
	BatchShape shape = find_shape(first);

	add_names(first, shape.count, parameters);
	add_payloads(first, shape.count, shape.json, true, json_type, parameters);
	add_metadatas(first, &shape, json_type, parameters);
	add_versions_and_ids(first, shape.count, expected_version_type, parameters);
	add_timestamps(first, &shape, parameters);
	add_payloads(first, shape.count, shape.bytes, false, OID_BYTEA, parameters);
	add_keys(first, &shape, parameters);
	add_calls(first, &shape, parameters);
}

/* The refusal of a call is the same at all of its events. */
static void
take_refusal(StoreAppend *append, const PGresult *result, int row)
{
	const char *texts[5];
	size_t size = 0;
	AppendRefusal *refusal;
	char *to;

	for (int i = 0; i < 5; i++)
	{
		/* values of a row end with a zero byte; NULL is an empty one */
		texts[i] = PQgetvalue(result, row, COLUMN_MESSAGE + i);
		size += strlen(texts[i]) + 1;
	}
	refusal = mem_zero(sizeof(AppendRefusal) + size);
	to = refusal->texts;
	for (int i = 0; i < 5; i++)
	{
		size_t length = strlen(texts[i]) + 1;

		memcpy(to, texts[i], length);
		texts[i] = to;
		to += length;
	}
	refusal->error =
		(StoreError){STORE_REFUSED, "", texts[0], texts[1], texts[2], texts[3], texts[4]};
	snprintf(refusal->error.sqlstate, sizeof(refusal->error.sqlstate), "%s",
			 PQgetvalue(result, row, COLUMN_SQLSTATE));
	append->refusal = refusal;
}

void
batch_row(StoreAppend *append, AppendEvent *event, const PGresult *result, int row)
{
	if (!PQgetisnull(result, row, COLUMN_SQLSTATE))
	{
		if (append->refusal == NULL)
			take_refusal(append, result, row);
		return;
	}
	event->partition_id = store_int4(result, row, COLUMN_PARTITION_ID);
	event->partition_sequence = store_int8(result, row, COLUMN_PARTITION_SEQUENCE);
	event->stream_version = store_int8(result, row, COLUMN_STREAM_VERSION);
	event->stored_timestamp = store_msecs(result, row, COLUMN_TIMESTAMP);
	store_uuid(result, row, COLUMN_EVENT_ID, &event->event_id);
	store_uuid(result, row, COLUMN_PARTITION_KEY, &event->partition_key);
}
