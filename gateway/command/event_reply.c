#include "command/event_reply.h"

#include "frame/put.h"

/* More than all that an event has beside its strings: their names, numbers and ids. */
#define FIXED_SIZE 768

static size_t
room_of(const StoreEvent *event)
{
	return FIXED_SIZE + event->stream_id_length + event->event_name_length +
		   event->metadata_length + event->payload_length;
}

void
event_reply_map(Reply *reply, const StoreEvent *event)
{
	char *to = reply_room(reply, room_of(event));

	to = reply->protocol >= 3 ? PUT_TEXT(to, "%11\r\n") : PUT_TEXT(to, "*22\r\n");
	to = PUT_TEXT(to, "+event_id\r\n");
	to = put_uuid(to, &event->event_id);
	to = PUT_TEXT(to, "+partition_key\r\n");
	to = put_uuid(to, &event->partition_key);
	to = PUT_TEXT(to, "+partition_id\r\n");
	to = put_number(to, ':', event->partition_id);
	to = PUT_TEXT(to, "+transaction_id\r\n");
	to = put_uuid(to, &event->transaction_id);
	to = PUT_TEXT(to, "+partition_sequence\r\n");
	to = put_number(to, ':', event->partition_sequence);
	to = PUT_TEXT(to, "+stream_version\r\n");
	to = put_number(to, ':', event->stream_version);
	to = PUT_TEXT(to, "+timestamp\r\n");
	to = put_number(to, ':', event->timestamp);
	to = PUT_TEXT(to, "+stream_id\r\n");
	to = put_bulk(to, event->stream_id, event->stream_id_length);
	to = PUT_TEXT(to, "+event_name\r\n");
	to = put_bulk(to, event->event_name, event->event_name_length);
	to = PUT_TEXT(to, "+metadata\r\n");
	to = put_bulk(to, event->metadata, event->metadata_length);
	to = PUT_TEXT(to, "+payload\r\n");
	to = put_bulk(to, event->payload, event->payload_length);
	reply_filled(reply, to);
}

void
event_reply_array(Reply *reply, const StoreEvent *event)
{
	char *to = reply_room(reply, room_of(event));

	to = PUT_TEXT(to, "*7\r\n");
	to = put_uuid(to, &event->event_id);
	to = put_bulk(to, event->event_name, event->event_name_length);
	to = put_bulk(to, event->stream_id, event->stream_id_length);
	to = put_number(to, ':', event->stream_version + 1);
	to = put_number(to, ':', event->timestamp);
	to = put_bulk(to, event->payload, event->payload_length);
	to = put_bulk(to, event->metadata, event->metadata_length);
	reply_filled(reply, to);
}
