/*
 * worker_launcher.h
 *		Starts runners where databases need them.
 */
#ifndef SIERRA_WORKER_LAUNCHER_H
#define SIERRA_WORKER_LAUNCHER_H

#include "fmgr.h"

/* Sets up what a preloaded library needs: shared memory, hook, launcher. */
extern void sierra_background_preload(void);

/* Entry function of the launcher. */
extern PGDLLEXPORT void sierra_launcher_main(Datum unused);

#endif /* SIERRA_WORKER_LAUNCHER_H */
