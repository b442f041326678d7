#include "command/append_arguments.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

typedef enum Option
{
	OPTION_EVENT_ID,
	OPTION_PARTITION_KEY,
	OPTION_EXPECTED_VERSION,
	OPTION_TIMESTAMP,
	OPTION_PAYLOAD,
	OPTION_METADATA,
	OPTION_NONE
} Option;

static const char *const option_words[] = {"EVENT_ID",	"PARTITION_KEY", "EXPECTED_VERSION",
										   "TIMESTAMP", "PAYLOAD",		 "METADATA"};
static const char *const option_names[] = {"event id",	"partition key", "expected version",
										   "timestamp", "payload",		 "metadata"};

static Option
take_option(Arguments *arguments, bool with_key)
{
	for (int i = 0; i < OPTION_NONE; i++)
		if ((with_key || i != OPTION_PARTITION_KEY) && argument_keyword(arguments, option_words[i]))
			return (Option) i;
	return OPTION_NONE;
}

/* The value of an option of one event. */
static bool
take_value(Arguments *arguments, Dialect dialect, Option option, StoreAppend *append,
		   AppendEvent *event)
{
	const Word *word;

	switch (option)
	{
		case OPTION_EVENT_ID:
			event->has_event_id = true;
			return argument_uuid(arguments, "event id", &event->event_id);
		case OPTION_PARTITION_KEY:
			append->has_partition_key = true;
			return argument_key(arguments, &append->partition_key);
		case OPTION_EXPECTED_VERSION:
			return argument_expected_version(arguments, dialect, &event->expected_version);
		case OPTION_TIMESTAMP:
			return argument_timestamp(arguments, &event->timestamp);
		case OPTION_PAYLOAD:
			if (!argument_bytes(arguments, "payload", &word))
				return false;
			event->payload = word->data;
			event->payload_length = word->length;
			return true;
		case OPTION_METADATA:
			if (!argument_bytes(arguments, "metadata", &word))
				return false;
			event->metadata = word->data;
			event->metadata_length = word->length;
			return true;
		case OPTION_NONE:
			break;
	}
	return false;
}

/* Stream, name, and options up to a word that is none. */
static bool
take_event(Arguments *arguments, Dialect dialect, bool with_key, StoreAppend *append,
		   AppendEvent *event)
{
	const Word *stream;
	const Word *name;
	unsigned given = 0;
	Option option;

	*event = (AppendEvent){.expected_version = EXPECTED_ANY, .timestamp = -1};
	if (!argument_stream(arguments, &stream) || !argument_event_name(arguments, &name))
		return false;
	event->stream_id = stream->data;
	event->stream_id_length = stream->length;
	event->event_name = name->data;
	event->event_name_length = name->length;
	while ((option = take_option(arguments, with_key)) != OPTION_NONE)
	{
		if (given & 1u << option)
			return argument_fail(arguments, "%s already specified", option_names[option]);
		given |= 1u << option;
		if (!take_value(arguments, dialect, option, append, event))
			return false;
	}
	if (settings.strict_versioning &&
		(event->expected_version == EXPECTED_ANY || event->expected_version == EXPECTED_EXISTS))
		return argument_fail(arguments, "strict versioning mode rejects EXPECTED_VERSION %s",
							 event->expected_version == EXPECTED_ANY ? "any" : "exists");
	return true;
}

/*
 * An append whose answer is lost is sent again, and stored once because of its ids; so every
 * event has one before it is sent.
 */
static void
give_keys_and_ids(StoreAppend *append)
{
	for (int i = 0; i < append->count; i++)
	{
		AppendEvent *event = &append->events[i];

		if (append->has_partition_key)
			event->partition_key = append->partition_key;
		else
			uuid_of_name(event->stream_id, event->stream_id_length, &event->partition_key);
		if (!event->has_event_id)
			uuid_generate(uuid_hash(&event->partition_key), &event->event_id);
	}
}

bool
parse_eappend(Arguments *arguments, Dialect dialect, StoreAppend *append)
{
	append->events = mem_alloc(sizeof(AppendEvent));
	append->count = 1;
	if (take_event(arguments, dialect, true, append, append->events))
	{
		if (arguments_at_end(arguments))
		{
			give_keys_and_ids(append);
			return true;
		}
		argument_fail(
			arguments,
			"unexpected string: expected EVENT_ID, PARTITION_KEY, EXPECTED_VERSION, TIMESTAMP, "
			"PAYLOAD, METADATA or end of input");
	}
	free(append->events);
	return false;
}

bool
parse_emappend(Arguments *arguments, Dialect dialect, StoreAppend *append)
{
	int allocated = 4;

	append->has_partition_key = true;
	if (!argument_key(arguments, &append->partition_key))
		return false;
	append->events = mem_alloc((size_t) allocated * sizeof(AppendEvent));
	append->count = 0;
	/* at least one event; the first word that is not an option begins the next */
	do
	{
		if (append->count == allocated)
		{
			allocated *= 2;
			append->events = mem_resize(append->events, (size_t) allocated * sizeof(AppendEvent));
		}
		if (!take_event(arguments, dialect, false, append, &append->events[append->count]))
		{
			free(append->events);
			return false;
		}
		append->count++;
	} while (!arguments_at_end(arguments));
	give_keys_and_ids(append);
	return true;
}
