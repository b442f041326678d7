/*
 * runner.h
 *		A process that runs timers, sagas and projections of a database.
 */
#ifndef SIERRA_RUNNER_H
#define SIERRA_RUNNER_H

#include "fmgr.h"

/*
 * Entry function of a runner; the argument contains the index of its slot and
 * the token of its start.
 */
extern PGDLLEXPORT void sierra_runner_main(Datum argument);

#endif /* SIERRA_RUNNER_H */
