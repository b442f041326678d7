/*
 * event_rows.h
 *		What SQL functions that return events share: arguments and result rows.
 */
#ifndef SIERRA_EVENT_ROWS_H
#define SIERRA_EVENT_ROWS_H

#include "fmgr.h"

#include "read/sink.h"
#include "store/store.h"

struct Tuplestorestate;

/* Events on their way to the caller of an SQL function. */
typedef struct SierraEventRows
{
	SierraSink base;
	SierraStore *store;
	SierraSink *sink; /* where the engine puts events: this, or row-level security before it */
	struct Tuplestorestate *rows;
	TupleDesc desc;
	int64 remaining;	 /* how many more are returned */
	int64 last_position; /* of the last that was returned, or SIERRA_NONE */
	bool row_security;

	/*
	 * Takes an event that the caller may see, as values in the order of
	 * sierra_event; false: wants no more.  sierra_event_rows_put(), unless an
	 * engine puts a function of its own before it.
	 */
	bool (*take)(void *arg, Datum *values, bool *nulls);
	void *take_arg;
} SierraEventRows;

/*
 * Makes the result set of the call, for a caller with SELECT on the store that
 * is named (NULL: the one that sierra_es.store names).
 */
extern void sierra_event_rows_begin(FunctionCallInfo fcinfo, const char *store, int64 max_count,
									SierraEventRows *result);

/* The same with rows that are the caller's own; the store is open already. */
extern void sierra_event_rows_begin_in(SierraEventRows *result, SierraStore *store,
									   struct Tuplestorestate *rows, TupleDesc desc,
									   int64 max_count);

/* Adds a row to the result; arg is the SierraEventRows.  False when it is complete. */
extern bool sierra_event_rows_put(void *arg, Datum *values, bool *nulls);

/* Passes on what row-level security still holds back. */
extern void sierra_event_rows_flush(SierraEventRows *result);

/* Raises 22023 unless the store has this partition. */
extern void sierra_check_partition(const SierraStore *store, int partition);

#endif /* SIERRA_EVENT_ROWS_H */
