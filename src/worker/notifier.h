/*
 * notifier.h
 *		The worker of a database: wakes who waits for events, and sends NOTIFY.
 */
#ifndef SIERRA_NOTIFIER_H
#define SIERRA_NOTIFIER_H

#include "fmgr.h"

/* Sets up all that runs when the library is preloaded: memory, hook, launcher. */
extern void sierra_background_preload(void);

/* Entry of the worker; the argument is the OID of its database. */
extern PGDLLEXPORT void sierra_notifier_main(Datum database);

#endif /* SIERRA_NOTIFIER_H */
