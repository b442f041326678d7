/*
 * connection.c
 *		HELLO, AUTH, PING and other commands about the connection itself.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "command/command.h"
#include "command/feed.h"
#include "command/hello.h"
#include "command/login.h"

static void
run_ping(Call *call)
{
	const Request *request = call->request;
	Reply reply;

	call_begin(call, &reply);
	if (client_only_listens(call->client))
	{
		reply_array(&reply, 2);
		reply_bulk_text(&reply, "pong");
		reply_bulk_text(&reply, request->count > 1 ? request->words[1].data : "");
	}
	else if (request->count > 1)
		reply_bulk(&reply, request->words[1].data, request->words[1].length);
	else
		reply_simple(&reply, "PONG");
	call_end(call, &reply);
}

static void
run_auth(Call *call)
{
	const Request *request = call->request;

	if (request->count == 2)
		login(call, NULL, &request->words[1], call_ok);
	else
		login(call, &request->words[1], &request->words[2], call_ok);
}

/* Database 0 is the dialect of the listener, 1 the tutorial's. */
static void
run_select(Call *call)
{
	const Word *word = &call->request->words[1];
	int64_t number;

	if (!text_to_number(word->data, word->length, &number))
		call_error(call, "ERR value is not an integer or out of range");
	else if (number > 1)
		call_error(call, "ERR DB index is out of range");
	else
	{
		call->client->dialect = number == 1 ? DIALECT_TUTORIAL : call->client->listener->dialect;
		call_ok(call);
	}
}

static void
run_quit(Call *call)
{
	client_close_behind(call);
	call_ok(call);
}

static void
run_reset(Call *call)
{
	Client *client = call->client;
	Reply reply;

	client_end_subscriptions(client);
	client->protocol = 2;
	client->dialect = client->listener->dialect;
	client_set_name(client, "", 0);
	client_set_role(client, settings.require_auth ? NULL : store_role_default());
	call_begin(call, &reply);
	reply_simple(&reply, "RESET");
	call_end(call, &reply);
}

const Command connection_commands[] = {
	{1, 7, true, {"HELLO", CALL_LOCAL, run_hello}},
	{2, 3, true, {"AUTH", CALL_LOCAL, run_auth}},
	{1, 2, false, {"PING", CALL_LOCAL, run_ping}},
	{2, 2, false, {"ECHO", CALL_LOCAL, run_ping}},
	{2, 2, false, {"SELECT", CALL_LOCAL, run_select}},
	{1, 1, true, {"QUIT", CALL_LOCAL, run_quit}},
	{1, 1, true, {"RESET", CALL_LOCAL, run_reset}},
	{1, 1, false, {"READONLY", CALL_LOCAL, call_ok}},
	{1, 1, false, {"READWRITE", CALL_LOCAL, call_ok}},
	{0},
};
