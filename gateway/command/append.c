/*
 * append.c
 *		EAPPEND and EMAPPEND.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "command/append_arguments.h"
#include "command/command.h"
#include "command/failure.h"

/* One text for SierraDB's clients and for programs that look for its two phrases. */
static void
answer_wrong_version(Call *call, const StoreAppend *append, const StoreError *error)
{
	Uuid key = append->partition_key;
	char text[UUID_TEXT_SIZE];

	if (!append->has_partition_key)
		uuid_of_name(error->table, strlen(error->table), &key);
	uuid_text(&key, text);
	call_error(call,
			   "WRONGVER current stream version is %s but expected %s for partition key %s and "
			   "stream id %s "
			   "(wrong expected version; WRONG_EXPECTED_VERSION)",
			   error->column, error->constraint, text, error->table);
}

/* The last place of what in text: a name of a stream before it may have the same words. */
static const char *
strrstr(const char *text, const char *what)
{
	const char *found = NULL;

	for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
		found = at;
	return found;
}

/* The detail is: Stream "name": given key UUID, its key UUID.  The second may be hidden. */
static void
answer_other_key(Call *call, const StoreError *error)
{
	static const char given_words[] = "given key ";
	static const char own_words[] = "its key ";
	const char *given = strrstr(error->detail, given_words);
	const char *own = strrstr(error->detail, own_words);
	int length = UUID_TEXT_SIZE - 1;

	if (given == NULL || own == NULL)
		call_error(call,
				   "DBOPFAILED database operation failed: partition key must be the same for all "
				   "events in a "
				   "stream: %s",
				   error->message);
	else
		call_error(call,
				   "DBOPFAILED database operation failed: partition key must be the same for all "
				   "events in a "
				   "stream: expected %.*s, got %.*s",
				   length, own + strlen(own_words), length, given + strlen(given_words));
}

static void
answer_error(Call *call, const StoreAppend *append, const StoreError *error)
{
	if (strcmp(error->sqlstate, "SE001") == 0)
		answer_wrong_version(call, append, error);
	else if (strcmp(error->sqlstate, "SE002") == 0)
		answer_other_key(call, error);
	else
		call_store_error(call, error);
}

static void
write_event(Reply *reply, const AppendEvent *event)
{
	reply_map(reply, 6);
	reply_key(reply, "event_id");
	reply_uuid(reply, event->event_id.bytes);
	reply_key(reply, "partition_key");
	reply_uuid(reply, event->partition_key.bytes);
	reply_key(reply, "partition_id");
	reply_integer(reply, event->partition_id);
	reply_key(reply, "partition_sequence");
	reply_integer(reply, event->partition_sequence);
	reply_key(reply, "stream_version");
	reply_integer(reply, event->stream_version);
	reply_key(reply, "timestamp");
	reply_integer(reply, event->stored_timestamp);
}

/* The client counts the sequences itself, from the first on: those of a call have no gaps. */
static void
write_events(Reply *reply, const StoreAppend *append)
{
	const AppendEvent *first = append->events;

	reply_map(reply, 5);
	reply_key(reply, "partition_key");
	reply_uuid(reply, first->partition_key.bytes);
	reply_key(reply, "partition_id");
	reply_integer(reply, first->partition_id);
	reply_key(reply, "first_partition_sequence");
	reply_integer(reply, first->partition_sequence);
	reply_key(reply, "last_partition_sequence");
	reply_integer(reply, append->events[append->count - 1].partition_sequence);
	reply_key(reply, "events");
	reply_array(reply, append->count);
	for (const AppendEvent *event = first; event < first + append->count; event++)
	{
		reply_map(reply, 4);
		reply_key(reply, "event_id");
		reply_uuid(reply, event->event_id.bytes);
		reply_key(reply, "stream_id");
		reply_simple_bytes(reply, event->stream_id, event->stream_id_length);
		reply_key(reply, "stream_version");
		reply_integer(reply, event->stream_version);
		reply_key(reply, "timestamp");
		reply_integer(reply, event->stored_timestamp);
	}
}

/* Versions, counted from 1. */
static void
write_tutorial(Reply *reply, const StoreAppend *append, bool is_multi)
{
	if (is_multi)
		reply_array(reply, append->count);
	for (int i = 0; i < append->count; i++)
		reply_integer(reply, append->events[i].stream_version + 1);
}

static void run_emappend(Call *call);

static void
finish(StoreAppend *append, const StoreError *error)
{
	Call *call = append->arg;
	bool is_multi = call->type->run == run_emappend;
	Reply reply;

	if (error != NULL)
		answer_error(call, append, error);
	else
	{
		call_begin(call, &reply);
		if (call->client->dialect == DIALECT_TUTORIAL)
			write_tutorial(&reply, append, is_multi);
		else if (is_multi)
			write_events(&reply, append);
		else
			write_event(&reply, append->events);
		call_end(call, &reply);
	}
	free(append->events);
	free(append);
}

static void
run(Call *call, bool (*parse)(Arguments *, Dialect, StoreAppend *))
{
	Client *client = call->client;
	StoreAppend *append = mem_zero(sizeof(StoreAppend));
	ArgumentError error;
	Arguments arguments = {.request = call->request, .at = 1, .error = &error};

	if (!parse(&arguments, client->dialect, append))
	{
		free(append);
		call_error(call, "%s", error.text);
		return;
	}
	append->done = finish;
	append->arg = call;
	/* this call is one of those that run */
	store_append(client->role, append, &client->lane, client->running > 1);
}

static void
run_eappend(Call *call)
{
	run(call, parse_eappend);
}

static void
run_emappend(Call *call)
{
	run(call, parse_emappend);
}

const Command append_commands[] = {
	{1, -1, false, {"EAPPEND", CALL_APPEND, run_eappend}},
	{1, -1, false, {"EMAPPEND", CALL_APPEND, run_emappend}},
	{0},
};
