/*
 * event_json.h
 *		Events as a JSON array: the form of emappend() that is easy to type.
 */
#ifndef SIERRA_EVENT_JSON_H
#define SIERRA_EVENT_JSON_H

#include "store/event.h"

/*
 * Reads [{"stream_id", "event_name", "payload", "metadata", "payload_bytes",
 * "expected_version", "event_id", "timestamp"}, ...].  A member that is null
 * counts as absent (expected_version must not be null); stream_id and
 * event_name must be there.  payload and
 * metadata keep their exact text, payload_bytes is base64, timestamp is
 * Unix milliseconds or a timestamptz in text.
 *
 * json must be a value of type json, so its syntax is known to be right.
 * Returns the events, palloc'd, and their number.  Raises 22023 for another
 * structure, and what the input functions of the members' types raise.
 */
extern SierraNewEvent *sierra_event_json_read(const text *json, int *count);

/* The same for events of one stream, without members stream_id and expected_version. */
extern SierraNewEvent *sierra_event_json_read_of_stream(const text *json, text *stream_id,
														int *count);

#endif /* SIERRA_EVENT_JSON_H */
