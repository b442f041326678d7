/*
 * watch.h
 *		What is new in the stores of a database, for its worker.
 */
#ifndef SIERRA_WATCH_H
#define SIERRA_WATCH_H

#include "doorbell.h"

/* Is the extension there?  In a transaction. */
extern bool sierra_watch_has_extension(void);

/*
 * Looks at the stores that rang, or at all of them, and sends NOTIFY for those
 * with something new.  In a transaction with an active snapshot.  Returns how
 * many notifications it sent.
 *
 * A ring counts as news by itself, unless its appender wanted no NOTIFY: then
 * what it wrote is only remembered as known.
 */
extern int sierra_watch_rings(const SierraRings *rings, void (*between)(void));
extern int sierra_watch_all(void (*between)(void));

#endif /* SIERRA_WATCH_H */
