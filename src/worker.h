/*
 * worker.h
 *		What runs by itself when the library is preloaded.
 */
#ifndef SIERRA_WORKER_H
#define SIERRA_WORKER_H

/* Called while shared_preload_libraries are loaded. */
extern void sierra_worker_preload(void);

#endif /* SIERRA_WORKER_H */
