#include "store/pack.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Of an event, what is before the bytes of its strings. */
#define HEADER_SIZE (4 * sizeof(int64_t) + 3 * sizeof(Uuid) + 5 * sizeof(int32_t))

static int64_t
take_int8(StorePack *pack)
{
	uint64_t value;

	memcpy(&value, pack->at, sizeof(value));
	pack->at += sizeof(value);
	return (int64_t) be64toh(value);
}

static uint32_t
take_int4(StorePack *pack)
{
	uint32_t value;

	memcpy(&value, pack->at, sizeof(value));
	pack->at += sizeof(value);
	return ntohl(value);
}

static void
take_uuid(StorePack *pack, Uuid *uuid)
{
	memcpy(uuid, pack->at, sizeof(*uuid));
	pack->at += sizeof(*uuid);
}

static void
take_string(StorePack *pack, const char **string, size_t length)
{
	*string = pack->at;
	pack->at += length;
}

void
pack_begin(StorePack *pack, const char *bytes, size_t length)
{
	pack->at = bytes;
	pack->end = bytes + length;
	pack->unwrapped = NULL;
	pack->is_damaged = length < 1;
	pack->has_more = !pack->is_damaged && *pack->at++ != 0;
}

bool
pack_next(StorePack *pack, StoreEvent *event)
{
	pack_end(pack);
	if (pack->at == pack->end || pack->is_damaged)
		return false;
	pack->is_damaged = (size_t) (pack->end - pack->at) < HEADER_SIZE;
	if (pack->is_damaged)
		return false;
	event->references = 0;
	event->bytes = 0;
	event->global_position = take_int8(pack);
	event->partition_sequence = take_int8(pack);
	event->stream_version = take_int8(pack);
	event->timestamp = clock_of_postgres(take_int8(pack));
	take_uuid(pack, &event->event_id);
	take_uuid(pack, &event->partition_key);
	take_uuid(pack, &event->transaction_id);
	event->partition_id = (int) take_int4(pack);
	event->stream_id_length = take_int4(pack);
	event->event_name_length = take_int4(pack);
	event->metadata_length = take_int4(pack);
	event->payload_length = take_int4(pack);
	pack->is_damaged =
		(size_t) (pack->end - pack->at) < event->stream_id_length + event->event_name_length +
											  event->metadata_length + event->payload_length;
	if (pack->is_damaged)
		return false;
	take_string(pack, &event->stream_id, event->stream_id_length);
	take_string(pack, &event->event_name, event->event_name_length);
	take_string(pack, &event->metadata, event->metadata_length);
	take_string(pack, &event->payload, event->payload_length);
	pack->unwrapped = store_event_unwrap(event);
	return true;
}

void
pack_end(StorePack *pack)
{
	free(pack->unwrapped);
	pack->unwrapped = NULL;
}
