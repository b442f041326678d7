/*
 * in_progress.h
 *		Notices that what a session runs would be run again inside itself.
 *
 * A handler can run its own projection, and an action its own saga.  The row is
 * locked, but not against the same session.
 */
#ifndef SIERRA_IN_PROGRESS_H
#define SIERRA_IN_PROGRESS_H

#include "store/store.h"

/* What a session runs, with what runs it; a variable of the function that runs it. */
typedef struct SierraInProgress
{
	struct SierraInProgress *outer;
	Oid store; /* its schema */
	const char *what;
} SierraInProgress;

/*
 * Notes that this session runs something in the store; "what" is its kind and name.
 * Returns false, and notes nothing, if the session is running it already.
 */
extern bool sierra_in_progress_begin(SierraInProgress *entry, const SierraStore *store,
									 const char *what);

/* What was noted last has ended; the caller ensures this after an error too (PG_FINALLY). */
extern void sierra_in_progress_end(const SierraInProgress *entry);

#endif /* SIERRA_IN_PROGRESS_H */
