#include "command/hello.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "command/login.h"

typedef struct Hello
{
	/* 0: as before */
	int protocol;
	const Word *user;
	const Word *password;
	const Word *name;
} Hello;

bool
is_client_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (name[i] < '!' || name[i] > '~')
			return false;
	return length <= 256;
}

bool
client_set_name(Client *client, const char *name, size_t length)
{
	if (!is_client_name(name, length))
		return false;
	free(client->name);
	client->name = length > 0 ? mem_copy(name, length) : NULL;
	/* for clients that can give a name, but neither a database nor a port */
	if (text_is_word(name, length, "TUTORIAL"))
		client->dialect = DIALECT_TUTORIAL;
	return true;
}

/* Keys are bulk strings here alone: as the server of SierraDB sends them. */
static void
add_text(Reply *reply, const char *key, const char *value)
{
	reply_bulk_text(reply, key);
	reply_bulk_text(reply, value);
}

static void
add_number(Reply *reply, const char *key, int64_t value)
{
	reply_bulk_text(reply, key);
	reply_integer(reply, value);
}

static const char *
role_word(const Client *client)
{
	const StoreFacts *facts = client->role != NULL ? store_role_facts(client->role) : NULL;

	return facts != NULL && facts->in_recovery ? "replica" : "master";
}

static bool
parse(const Request *request, Hello *hello, const char **error)
{
	int64_t version;
	int at = 2;

	if (request->count == 1)
		return true;
	*error = "ERR Protocol version is not an integer or out of range";
	if (!text_to_number(request->words[1].data, request->words[1].length, &version))
		return false;
	*error = "NOPROTO unsupported protocol version";
	if (version != 2 && version != 3)
		return false;
	hello->protocol = (int) version;
	*error = "ERR Syntax error in HELLO option";
	while (at < request->count)
	{
		const Word *option = &request->words[at];

		if (text_is_word(option->data, option->length, "AUTH") && at + 2 < request->count)
		{
			hello->user = option + 1;
			hello->password = option + 2;
			at += 3;
		}
		else if (text_is_word(option->data, option->length, "SETNAME") && at + 1 < request->count)
		{
			hello->name = option + 1;
			at += 2;
		}
		else
			return false;
	}
	*error = "ERR Client names cannot contain spaces, newlines or special characters.";
	return hello->name == NULL || is_client_name(hello->name->data, hello->name->length);
}

/* The words were right, and so was the password. */
static void
answer(Call *call)
{
	Client *client = call->client;
	Hello hello = {0};
	const char *error;
	Reply reply;

	parse(call->request, &hello, &error);
	if (hello.name != NULL)
		client_set_name(client, hello.name->data, hello.name->length);
	if (hello.protocol != 0)
		client->protocol = hello.protocol;

	call_begin(call, &reply);
	reply_map(&reply, 9);
	add_text(&reply, "server", "sierradb");
	add_text(&reply, "version", SIERRA_VERSION);
	add_number(&reply, "proto", client->protocol);
	add_number(&reply, "id", (int64_t) client->id);
	add_text(&reply, "mode", "standalone");
	add_text(&reply, "role", role_word(client));
	reply_bulk_text(&reply, "modules");
	reply_array(&reply, 0);
	add_text(&reply, "peer_id", "sierra_gateway");
	add_number(&reply, "num_partitions", store_role_partitions(client->role));
	call_end(call, &reply);
}

void
run_hello(Call *call)
{
	Hello hello = {0};
	const char *error;

	if (!parse(call->request, &hello, &error))
		call_error(call, "%s", error);
	else if (hello.password != NULL)
		login(call, hello.user, hello.password, answer);
	else if (call->client->role == NULL)
		call_error(
			call,
			"NOAUTH HELLO must be called with the client already authenticated, otherwise "
			"the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client "
			"and select the RESP protocol version at the same time");
	else
		answer(call);
}
