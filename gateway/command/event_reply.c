#include "command/event_reply.h"

void
event_reply_map(Reply *reply, const StoreEvent *event)
{
	reply_map(reply, 11);
	reply_key(reply, "event_id");
	reply_uuid(reply, event->event_id.bytes);
	reply_key(reply, "partition_key");
	reply_uuid(reply, event->partition_key.bytes);
	reply_key(reply, "partition_id");
	reply_integer(reply, event->partition_id);
	reply_key(reply, "transaction_id");
	reply_uuid(reply, event->transaction_id.bytes);
	reply_key(reply, "partition_sequence");
	reply_integer(reply, event->partition_sequence);
	reply_key(reply, "stream_version");
	reply_integer(reply, event->stream_version);
	reply_key(reply, "timestamp");
	reply_integer(reply, event->timestamp);
	reply_key(reply, "stream_id");
	reply_bulk(reply, event->stream_id, event->stream_id_length);
	reply_key(reply, "event_name");
	reply_bulk(reply, event->event_name, event->event_name_length);
	reply_key(reply, "metadata");
	reply_bulk(reply, event->metadata, event->metadata_length);
	reply_key(reply, "payload");
	reply_bulk(reply, event->payload, event->payload_length);
}

void
event_reply_array(Reply *reply, const StoreEvent *event)
{
	reply_array(reply, 7);
	reply_uuid(reply, event->event_id.bytes);
	reply_bulk(reply, event->event_name, event->event_name_length);
	reply_bulk(reply, event->stream_id, event->stream_id_length);
	reply_integer(reply, event->stream_version + 1);
	reply_integer(reply, event->timestamp);
	reply_bulk(reply, event->payload, event->payload_length);
	reply_bulk(reply, event->metadata, event->metadata_length);
}
