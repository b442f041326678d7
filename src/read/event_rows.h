/*
 * event_rows.h
 *		What SQL functions that return events share: arguments and result rows.
 */
#ifndef SIERRA_EVENT_ROWS_H
#define SIERRA_EVENT_ROWS_H

#include "fmgr.h"

#include "read/read_all.h"
#include "read/sink.h"
#include "store/store.h"

struct Tuplestorestate;

/* Events on their way to the caller of an SQL function. */
typedef struct SierraResult
{
	SierraSink base;
	SierraStore *store;
	SierraSink *sink; /* where the engine puts events: this, or row-level security before it */
	struct Tuplestorestate *rows;
	TupleDesc desc;
	int64 remaining; /* how many more are returned */
	/* For reads of subscriptions; sierra_result_begin() sets them so that nothing changes. */
	int64 after;  /* what is not above is taken, but not returned */
	int64 window; /* how many more are taken */
	/* What went by. */
	int64 taken;		  /* how many were taken */
	int64 first_position; /* of the first that was taken */
	int64 last_position;  /* of the last that was returned, or SIERRA_NONE */
	bool row_security;
} SierraResult;

/*
 * Makes the result set of the call, for a caller with SELECT on the store that
 * is named (NULL: the one that sierra_es.store names).
 */
extern void sierra_result_begin(FunctionCallInfo fcinfo, const char *store, int64 max_count,
								SierraResult *result);

/* The same with rows that are the caller's own; the store is open already. */
extern void sierra_result_begin_rows(SierraResult *result, SierraStore *store,
									 struct Tuplestorestate *rows, TupleDesc desc, int64 max_count);

/* Passes on what row-level security still holds back. */
extern void sierra_result_flush(SierraResult *result);

/* Raises 22023 unless the store has this partition. */
extern void sierra_check_partition(const SierraStore *store, int partition);

#endif /* SIERRA_EVENT_ROWS_H */
