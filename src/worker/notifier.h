/*
 * notifier.h
 *		The notifier of a database: wakes sessions that wait for events, and sends NOTIFY.
 */
#ifndef SIERRA_NOTIFIER_H
#define SIERRA_NOTIFIER_H

#include "fmgr.h"

/* Sets up what a preloaded library needs: shared memory, hook, launcher. */
extern void sierra_background_preload(void);

/* Entry function of a notifier; the argument is the OID of its database. */
extern PGDLLEXPORT void sierra_notifier_main(Datum database);

#endif /* SIERRA_NOTIFIER_H */
