/*
 * event_json.h
 *		Reads events from JSON, for emappend() and command handlers.
 */
#ifndef SIERRA_EVENT_JSON_H
#define SIERRA_EVENT_JSON_H

#include "store/event.h"

/*
 * Reads an array of objects with the members stream_id, event_name, payload, metadata,
 * payload_bytes, expected_version, event_id, timestamp and tags.  stream_id and event_name
 * are required.  A member that is null counts as absent, but expected_version must not be
 * null.  payload and metadata keep their exact text, payload_bytes is base64, timestamp
 * is Unix milliseconds or the text of a timestamptz, tags is an array of strings.
 *
 * Or reads an object with the members events, which is such an array, and condition: then
 * *condition is its text, otherwise NULL.
 *
 * json must be a value of type json, so its syntax is valid.  Returns the events,
 * palloc'd, and their number; nothing points into json.  Raises 22023 for another structure, 22004
 * for a value that must not be null, and the errors of the input functions of the members' types.
 */
extern SierraNewEvent *sierra_event_json_read(const text *json, int *count, text **condition);

/*
 * The same for events that a command handler returns for its stream.  They must not have
 * the members stream_id and expected_version.
 */
extern SierraNewEvent *sierra_event_json_read_of_stream(const text *json, text *stream_id,
														int *count);

/* An event as a line of an import has it. */
typedef struct SierraLineEvent
{
	SierraNewEvent event;
	bool has_key;
	bool has_version;
	bool has_transaction;
	pg_uuid_t key;
	int64 version;
	pg_uuid_t transaction_id;
} SierraLineEvent;

/*
 * Reads a line, the element of this number of an array, into the current context.
 * Errors as for sierra_event_json_read().
 */
extern void sierra_event_json_read_line(const text *json, int element, SierraLineEvent *line);

#endif /* SIERRA_EVENT_JSON_H */
