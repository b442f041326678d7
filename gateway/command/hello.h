/*
 * hello.h
 *		HELLO, and what a client says about itself.
 */
#ifndef COMMAND_HELLO_H
#define COMMAND_HELLO_H

#include "client/client.h"

extern void run_hello(Call *call);
/* An empty name is none.  False if it has blanks or control characters. */
extern bool client_set_name(Client *client, const char *name, size_t length);
/* Is it a name that SETNAME or SETINFO may give? */
extern bool is_client_name(const char *name, size_t length);

#endif /* COMMAND_HELLO_H */
