/*
 * client_commands.c
 *		CLIENT: what a client says about itself, and what it can ask about clients.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "command/command.h"
#include "command/hello.h"

static bool
is_subcommand(const Call *call, const char *name, int words)
{
	const Word *word = &call->request->words[1];

	return text_is_word(word->data, word->length, name) &&
		   (words == 0 || call->request->count == words);
}

static void
set_info(Call *call)
{
	const Word *attribute = &call->request->words[2];
	const Word *value = &call->request->words[3];
	Client *client = call->client;
	char **field;

	if (text_is_word(attribute->data, attribute->length, "LIB-NAME"))
		field = &client->library;
	else if (text_is_word(attribute->data, attribute->length, "LIB-VER"))
		field = &client->library_version;
	else
	{
		call_error(call, "ERR Unrecognized option, expected LIB-NAME or LIB-VER");
		return;
	}
	if (!is_client_name(value->data, value->length))
	{
		call_error(
			call,
			"ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.");
		return;
	}
	free(*field);
	*field = mem_copy(value->data, value->length);
	/*
	 * SierraDB's own client is made of this one.  It requires maps also on a connection that has
	 * never said HELLO, because the server of SierraDB speaks nothing but RESP3.
	 */
	if (field == &client->library && strcmp(client->library, "redis-rs") == 0)
		client->protocol = 3;
	call_ok(call);
}

static void
set_name(Call *call)
{
	const Word *name = &call->request->words[2];

	if (client_set_name(call->client, name->data, name->length))
		call_ok(call);
	else
		call_error(call, "ERR Client names cannot contain spaces, newlines or special characters.");
}

static int
describe(const Client *client, char *line, size_t size)
{
	int64_t now = clock_usecs();
	int length;

	length = snprintf(
		line, size,
		"id=%llu addr=%s name=%s age=%lld idle=%lld db=%d resp=%d user=%s cmd=%s "
		"qbuf=%zu omem=%zu lib-name=%s lib-ver=%s\n",
		(unsigned long long) client->id, client->address, client->name != NULL ? client->name : "",
		(long long) (now - client->connected_at) / 1000000,
		(long long) (now - client->last_request_at) / 1000000, client->dialect == DIALECT_TUTORIAL,
		client->protocol, client->role != NULL ? store_role_name(client->role) : "",
		client->last_command != NULL ? client->last_command : "", client->call_bytes,
		client_output(client), client->library != NULL ? client->library : "",
		client->library_version != NULL ? client->library_version : "");
	return (size_t) length < size ? length : (int) size - 1;
}

static void
answer_list(Call *call, bool all)
{
	struct evbuffer *lines = evbuffer_new();
	char line[1200];
	Reply reply;
	size_t length;

	for (const Client *client = client_first(); all && client != NULL; client = client->next)
		/* clients of another login are none of this one's business */
		if (client->role == call->client->role)
			evbuffer_add(lines, line, (size_t) describe(client, line, sizeof(line)));
	if (!all)
		evbuffer_add(lines, line, (size_t) describe(call->client, line, sizeof(line)));
	length = evbuffer_get_length(lines);
	call_begin(call, &reply);
	reply_bulk(&reply, evbuffer_pullup(lines, -1), length);
	call_end(call, &reply);
	evbuffer_free(lines);
}

static void
answer_value(Call *call, bool is_id)
{
	Client *client = call->client;
	Reply reply;

	call_begin(call, &reply);
	if (is_id)
		reply_integer(&reply, (int64_t) client->id);
	else if (client->name != NULL)
		reply_bulk_text(&reply, client->name);
	else
		reply_null(&reply);
	call_end(call, &reply);
}

static void
run_client(Call *call)
{
	const Word *word = &call->request->words[1];
	char text[60];

	if (is_subcommand(call, "SETINFO", 4))
		set_info(call);
	else if (is_subcommand(call, "SETNAME", 3))
		set_name(call);
	else if (is_subcommand(call, "NO-EVICT", 3) || is_subcommand(call, "NO-TOUCH", 3))
		call_ok(call);
	else if (is_subcommand(call, "ID", 2) || is_subcommand(call, "GETNAME", 2))
		answer_value(call, is_subcommand(call, "ID", 2));
	else if (is_subcommand(call, "LIST", 0) || is_subcommand(call, "INFO", 2))
		answer_list(call, is_subcommand(call, "LIST", 0));
	else
		/* OK to a feature that is not here would switch it on in the client */
		call_error(call, "ERR unknown subcommand or wrong number of arguments for '%s'",
				   text_printable(word->data, word->length, text, sizeof(text)));
}

const Command client_commands[] = {
	{2, -1, false, {"CLIENT", CALL_LOCAL, run_client}},
	{0},
};
