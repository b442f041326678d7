#include "store/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_reader.h"
#include "base/clock.h"
#include "base/memory.h"
#include "store/metadata.h"

const StoreStatement batch_statement = {
	"append",
	"SELECT sierra_internal.eappend_each_packed(stream_ids => $1, event_names => $2,"
	" payloads => $3, metadatas => $4, expected_versions => $5, event_ids => $6, timestamps => $7,"
	" payload_bytes => $8, tags => NULL, partition_keys => $9, conditions => NULL, calls => $10)"};

/* Message, detail, names of table, column and constraint. */
#define REFUSAL_TEXTS 5

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

/* The texts are copied, because the value goes before the refusal is answered. */
static void
take_refusal(StoreAppend *append, ByteReader *bytes)
{
	const char *sqlstate = bytes_text(bytes);
	const char *texts[REFUSAL_TEXTS];
	size_t size = 0;
	AppendRefusal *refusal;
	char *to;

	for (int i = 0; i < REFUSAL_TEXTS; i++)
	{
		texts[i] = bytes_text(bytes);
		size += strlen(texts[i]) + 1;
	}
	/* it is the same at all events of a call */
	if (append->refusal != NULL)
		return;
	refusal = mem_zero(sizeof(AppendRefusal) + size);
	to = refusal->texts;
	for (int i = 0; i < REFUSAL_TEXTS; i++)
	{
		size_t length = strlen(texts[i]) + 1;

		memcpy(to, texts[i], length);
		texts[i] = to;
		to += length;
	}
	refusal->error =
		(StoreError){STORE_REFUSED, "", texts[0], texts[1], texts[2], texts[3], texts[4]};
	snprintf(refusal->error.sqlstate, sizeof(refusal->error.sqlstate), "%s", sqlstate);
	append->refusal = refusal;
}

static void
take_outcome(StoreAppend *append, AppendEvent *event, ByteReader *bytes)
{
	if (bytes_int1(bytes) == 0)
	{
		take_refusal(append, bytes);
		return;
	}
	bytes_uuid(bytes, &event->event_id);
	bytes_uuid(bytes, &event->partition_key);
	event->partition_id = (int) bytes_int4(bytes);
	event->partition_sequence = bytes_int8(bytes);
	event->stream_version = bytes_int8(bytes);
	event->stored_timestamp = clock_of_postgres(bytes_int8(bytes));
}

bool
batch_outcome(StoreAppend *first, const char *value, size_t length)
{
	ByteReader bytes = {.at = value, .end = value + length};

	for (StoreAppend *append = first; append != NULL; append = append->next)
		for (int i = 0; i < append->count; i++)
			take_outcome(append, &append->events[i], &bytes);
	return !bytes.is_short && bytes.at == bytes.end;
}
