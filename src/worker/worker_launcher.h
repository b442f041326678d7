/*
 * worker_launcher.h
 *		Starts a notifier for each database that has the extension, and runners.
 */
#ifndef SIERRA_WORKER_LAUNCHER_H
#define SIERRA_WORKER_LAUNCHER_H

#include "fmgr.h"

/* Registers the launcher; called while preloaded libraries are loaded. */
extern void sierra_launcher_register(void);

/* Entry function of the launcher. */
extern PGDLLEXPORT void sierra_launcher_main(Datum unused);

#endif /* SIERRA_WORKER_LAUNCHER_H */
