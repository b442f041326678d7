/*
 * append_arguments.h
 *		The words of EAPPEND and EMAPPEND, as an append.
 */
#ifndef COMMAND_APPEND_ARGUMENTS_H
#define COMMAND_APPEND_ARGUMENTS_H

#include "command/arguments.h"
#include "store/append.h"

/*
 * Fill append, whose events are allocated; their texts stay in the request.  False with an error,
 * and nothing to free.
 */
extern bool parse_eappend(Arguments *arguments, Dialect dialect, StoreAppend *append);
extern bool parse_emappend(Arguments *arguments, Dialect dialect, StoreAppend *append);

#endif /* COMMAND_APPEND_ARGUMENTS_H */
