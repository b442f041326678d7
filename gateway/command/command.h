/*
 * command.h
 *		The table of commands.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "client/client.h"

typedef struct Command
{
	/* how many words, with the name; most -1: any number */
	int least;
	int most;
	/* answered also before AUTH */
	bool is_open;
	CallType type;
} Command;

/* The command of a request; one that answers with an error if there is none. */
extern const CallType *command_find(Client *client, Request *request);

/* A family of commands; tables end with an entry without a name. */
extern const Command connection_commands[];
extern const Command client_commands[];
extern const Command server_commands[];
extern const Command subscribe_commands[];
extern const Command pubsub_commands[];
extern const Command append_commands[];
extern const Command read_commands[];
extern const Command scan_commands[];

#endif /* COMMAND_COMMAND_H */
