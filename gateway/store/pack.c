#include "store/pack.h"

#include <stdlib.h>

#include "base/clock.h"

void
pack_begin(StorePack *pack, const char *bytes, size_t length)
{
	pack->bytes = (ByteReader){.at = bytes, .end = bytes + length};
	pack->unwrapped = NULL;
	pack->has_more = bytes_int1(&pack->bytes) != 0;
	pack->is_damaged = pack->bytes.is_short;
}

bool
pack_next(StorePack *pack, StoreEvent *event)
{
	ByteReader *bytes = &pack->bytes;

	pack_end(pack);
	if (bytes->at == bytes->end || pack->is_damaged)
		return false;
	event->references = 0;
	event->bytes = 0;
	event->global_position = bytes_int8(bytes);
	event->partition_sequence = bytes_int8(bytes);
	event->stream_version = bytes_int8(bytes);
	event->timestamp = clock_of_postgres(bytes_int8(bytes));
	bytes_uuid(bytes, &event->event_id);
	bytes_uuid(bytes, &event->partition_key);
	bytes_uuid(bytes, &event->transaction_id);
	event->partition_id = (int) bytes_int4(bytes);
	event->stream_id_length = bytes_int4(bytes);
	event->event_name_length = bytes_int4(bytes);
	event->metadata_length = bytes_int4(bytes);
	event->payload_length = bytes_int4(bytes);
	event->stream_id = bytes_take(bytes, event->stream_id_length);
	event->event_name = bytes_take(bytes, event->event_name_length);
	event->metadata = bytes_take(bytes, event->metadata_length);
	event->payload = bytes_take(bytes, event->payload_length);
	pack->is_damaged = bytes->is_short;
	if (pack->is_damaged)
		return false;
	pack->unwrapped = store_event_unwrap(event);
	return true;
}

void
pack_end(StorePack *pack)
{
	free(pack->unwrapped);
	pack->unwrapped = NULL;
}
