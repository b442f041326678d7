/*
 * event_rows.h
 *		The result rows of SQL functions that return events.
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
	SierraSink *sink; /* where a read puts events: base, or row-level security in front of it */
	struct Tuplestorestate *rows;
	TupleDesc desc;
	int64 remaining;	 /* how many more events may be returned */
	int64 last_position; /* of the last event that was returned, or SIERRA_NONE */
	bool row_security;

	/*
	 * Takes an event that the user may see, as values in the order of
	 * sierra_event; false: needs no more events.  It is sierra_event_rows_put(),
	 * unless a reader sets a function of its own.
	 */
	bool (*take)(void *arg, Datum *values, bool *nulls);
	void *take_arg;
} SierraEventRows;

/*
 * Makes the result set of the call, with events of this store (NULL: the store that
 * sierra_es.store names).  Raises 42501 unless the current user has SELECT on it.
 */
extern void sierra_event_rows_begin(FunctionCallInfo fcinfo, const char *store, int64 max_count,
									SierraEventRows *result);

/* The same for a store that is open already, with rows that the caller made. */
extern void sierra_event_rows_begin_in(SierraEventRows *result, SierraStore *store,
									   struct Tuplestorestate *rows, TupleDesc desc,
									   int64 max_count);

/* Adds a row to the result; arg is the SierraEventRows.  False if the result is complete now. */
extern bool sierra_event_rows_put(void *arg, Datum *values, bool *nulls);

/* Ends reading: passes on the events that wait for row-level security. */
extern void sierra_event_rows_flush(SierraEventRows *result);

/* Raises 22023 unless the store has this partition. */
extern void sierra_check_partition(const SierraStore *store, int partition);

#endif /* SIERRA_EVENT_ROWS_H */
