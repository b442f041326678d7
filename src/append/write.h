/*
 * write.h
 *		The second half of an append: numbers the events of accepted calls, and writes them.
 */
#ifndef SIERRA_WRITE_H
#define SIERRA_WRITE_H

#include "append/insert.h"
#include "append/route.h"

/* What the rounds of an append share; zeroed before the first one. */
typedef struct SierraWriter
{
	bool has_written;
	SierraInsert insert;
} SierraWriter;

/*
 * Numbers and writes the events of the calls from first up to end whose status is DONE; they have
 * their versions, and the route is open and locked.  A call whose condition is about positions
 * that the store has not reached gets another status instead.  It must be the only one of its
 * round.
 */
extern void sierra_write_round(SierraWriter *writer, SierraRoute *route, int first, int end);

/* Fires the AFTER triggers of all rounds; the route is still open. */
extern void sierra_write_end(SierraWriter *writer);

#endif /* SIERRA_WRITE_H */
