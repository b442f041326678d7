/*
 * event_rows.h
 *		The result rows of SQL functions that return events.
 */
#ifndef SIERRA_EVENT_ROWS_H
#define SIERRA_EVENT_ROWS_H

#include "fmgr.h"

#include "read/event_tuple.h"
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
	 * NULL, or asked about each event that the user may see, before it is returned: is it
	 * to be returned (*wanted, which is true)?  Returns false if no event after it is needed.
	 */
	bool (*count)(void *arg, int64 position, bool *wanted);
	void *arg;

	SierraEventTuple tuple; /* of the last event that was returned */
	bool forms_tuples;		/* uses it */
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

/* Ends reading: passes on the events that wait for row-level security. */
extern void sierra_event_rows_flush(SierraEventRows *result);

/* Raises 22023 unless the store has this partition. */
extern void sierra_check_partition(const SierraStore *store, int partition);

#endif /* SIERRA_EVENT_ROWS_H */
