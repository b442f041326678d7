/*
 * failure.h
 *		Errors of PostgreSQL, as clients of SierraDB and of Redis know them.
 */
#ifndef COMMAND_FAILURE_H
#define COMMAND_FAILURE_H

#include "client/client.h"
#include "store/error.h"

/* Answers the call with the error. */
extern void call_store_error(Call *call, const StoreError *error);
/* Writes code and text of the error, without CR and LF, as reply_error() wants it. */
extern void failure_text(const StoreError *error, char *text, size_t size);

#endif /* COMMAND_FAILURE_H */
