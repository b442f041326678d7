#include "command/command.h"

#include <string.h>

#include "base/text.h"
#include "command/feed.h"

static const Command *const families[] = {append_commands,	   read_commands,	scan_commands,
										  connection_commands, client_commands, server_commands,
										  subscribe_commands,  pubsub_commands};

static const Command *
find(const Word *name)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (const Command *command = families[i]; command->type.name != NULL; command++)
			if (text_is_word(name->data, name->length, command->type.name))
				return command;
	return NULL;
}

static void
run_unknown(Call *call)
{
	const Word *name = &call->request->words[0];
	char text[140];

	text_printable(name->data, name->length, text, 128);
	for (char *c = text; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c -= 'a' - 'A';
	call_error(call, "INVALIDARG unknown command '%s'", text);
}

static void
run_invalid_name(Call *call)
{
	call_error(call, "INVALIDARG invalid type for command name");
}

static void
run_without_login(Call *call)
{
	call_error(call, "NOAUTH Authentication required.");
}

static void
run_too_few(Call *call)
{
	call_error(call, "INVALIDARG unexpected end of input: expected more arguments");
}

static void
run_too_many(Call *call)
{
	call_error(call, "INVALIDARG unexpected argument: expected end of input");
}

static void
run_while_listening(Call *call)
{
	call_error(call, "ERR Can't execute this command: only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / "
					 "QUIT / RESET are allowed in this context");
}

static const CallType while_listening = {"refused", CALL_LOCAL, run_while_listening};
static const CallType unknown = {"unknown", CALL_LOCAL, run_unknown};
static const CallType invalid_name = {"unknown", CALL_LOCAL, run_invalid_name};
static const CallType without_login = {"refused", CALL_LOCAL, run_without_login};
static const CallType too_few = {"refused", CALL_LOCAL, run_too_few};
static const CallType too_many = {"refused", CALL_LOCAL, run_too_many};

/* May a RESP2 connection that listens to channels run it? */
static bool
is_listening(const Command *command)
{
	static const char *const names[] = {"SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
										"PING",		 "QUIT",	   "RESET"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(command->type.name, names[i]) == 0)
			return true;
	return false;
}

const CallType *
command_find(Client *client, Request *request)
{
	const Command *command;

	if (request->words[0].type != WORD_STRING)
		return &invalid_name;
	command = find(&request->words[0]);
	if (client->role == NULL && (command == NULL || !command->is_open))
		return &without_login;
	if (command == NULL)
		return &unknown;
	if (client_only_listens(client) && !is_listening(command))
		return &while_listening;
	if (request->count < command->least)
		return &too_few;
	if (command->most >= 0 && request->count > command->most)
		return &too_many;
	return &command->type;
}
