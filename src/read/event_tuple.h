/*
 * event_tuple.h
 *		Makes a tuple of type sierra_event from a row of an event table.
 */
#ifndef SIERRA_EVENT_TUPLE_H
#define SIERRA_EVENT_TUPLE_H

#include "access/htup.h"
#include "executor/tuptable.h"

/* The tuple that was made last, and its memory. */
typedef struct SierraEventTuple
{
	HeapTupleData tuple;
	Size size;			   /* of the memory at tuple.t_data */
	MemoryContext context; /* where it is allocated */
} SierraEventTuple;

extern void sierra_event_tuple_begin(SierraEventTuple *made, MemoryContext context);

/* Can tuples be made for this row type?  If not, it is not sierra_event as it was created. */
extern bool sierra_event_tuple_fits(TupleDesc desc);

/*
 * Makes the tuple of the event in the slot; the next call overwrites it.  Returns false if
 * the row is stored in a way that this does not know; then use sierra_event_values().
 */
extern bool sierra_event_tuple_form(SierraEventTuple *made, TupleTableSlot *slot);

#endif /* SIERRA_EVENT_TUPLE_H */
