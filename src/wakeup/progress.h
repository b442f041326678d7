/*
 * progress.h
 *		What a call that takes long is at, for others to see while it runs.
 *
 * With shared memory, event_progress() shows it.  Without, the application_name of the
 * session does, in pg_stat_activity.  A backend has one such call at a time; a call inside
 * of another takes its place.  The end of the (sub)transaction ends it too; of a procedure
 * that commits while it runs, only an error does.
 */
#ifndef SIERRA_PROGRESS_H
#define SIERRA_PROGRESS_H

#include "wakeup/shared.h"

/* A call begins: what it does, in which store, and to what. */
extern void sierra_progress_begin(const char *operation, const char *store, const char *subject);

/* It is a procedure: a commit does not end it. */
extern void sierra_progress_keep(void);

/* Its next phase begins, which takes this number of steps; -1: it is not known how many. */
extern void sierra_progress_phase(const char *phase, int64 total);

/* It has taken steps.  Cheap: shared memory is written once for many. */
extern void sierra_progress_add(int64 steps);

extern void sierra_progress_end(void);

/* Copies the progress of a backend, by its place; false if it has none. */
extern bool sierra_progress_copy(int place, SierraProgress *copy);

#endif /* SIERRA_PROGRESS_H */
