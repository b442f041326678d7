/*
 * event_json.h
 *		An event as the JSON text that SUBSCRIBE and PSUBSCRIBE send.
 */
#ifndef COMMAND_EVENT_JSON_H
#define COMMAND_EVENT_JSON_H

#include <event2/buffer.h>

#include "store/event.h"

/*
 * Payload and metadata that are JSON are values of the object; other bytes are base64, in
 * payload_base64 and metadata_base64; none are null.
 */
extern void event_to_json(const StoreEvent *event, struct evbuffer *out);

#endif /* COMMAND_EVENT_JSON_H */
