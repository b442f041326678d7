/*
 * message_rows.h
 *		The result rows of the functions of schema message_store: events as messages.
 */
#ifndef SIERRA_MESSAGE_ROWS_H
#define SIERRA_MESSAGE_ROWS_H

#include "fmgr.h"

#include "read/sink.h"
#include "store/store.h"

struct Tuplestorestate;

/* The store that the functions use, and the schema that they are in. */
#define SIERRA_MESSAGE_STORE "message_store"

/* The global position of a message is that of its event, which begins at 0, and this. */
#define SIERRA_FIRST_MESSAGE 1

/* Messages on their way to the caller of an SQL function. */
typedef struct SierraMessageRows
{
	SierraSink base;
	SierraStore *store;
	SierraSink *sink; /* where a read puts events: base, or row-level security in front of it */
	struct Tuplestorestate *rows;
	TupleDesc desc;
	int64 remaining;  /* how many more messages may be returned */
	const text *type; /* NULL, or the only type that is returned */
	bool row_security;
} SierraMessageRows;

/*
 * Makes the result set of the call, with at most limit messages, and a new snapshot the active
 * one: the functions are VOLATILE, so they see what the same statement has done before.  Raises
 * 42501 unless the current user has SELECT on the store.
 */
extern void sierra_message_rows_begin(FunctionCallInfo fcinfo, int64 limit,
									  SierraMessageRows *result);

/* Ends reading. */
extern void sierra_message_rows_end(SierraMessageRows *result);

/* The same of a snapshot alone. */
extern void sierra_message_snapshot_begin(void);
extern void sierra_message_snapshot_end(void);

/* The version of a stream, or SIERRA_NONE.  Uses the active snapshot. */
extern int64 sierra_message_stream_version(const SierraStore *store, const text *stream_name);

#endif /* SIERRA_MESSAGE_ROWS_H */
