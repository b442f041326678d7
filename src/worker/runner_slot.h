/*
 * runner_slot.h
 *		How a runner takes its slot, and how it leaves.
 */
#ifndef SIERRA_RUNNER_SLOT_H
#define SIERRA_RUNNER_SLOT_H

#include "base/compat.h"
#include "wakeup/shared.h"

/* The slot of this runner, and that of its database; NULL before it has it. */
extern SierraRunner *sierra_own_runner;
extern SierraDatabaseSlot *sierra_own_database;

/* The count of wake-ups before the last round of notifications and look for jobs. */
extern uint64 sierra_own_seen;

/*
 * Takes the slot that the launcher reserved, before anything can fail.  Returns
 * the database, or InvalidOid if the slot is not reserved for this start any
 * more.
 */
extern Oid sierra_runner_attach(int index, uint32 token);

/* For a runner that is connected: takes the slot of the database, or ends. */
extern void sierra_runner_enter(void);

/* Ends the process; the database needs a runner again at that time. */
pg_noreturn extern void sierra_runner_leave(SierraTime when);

/* Ends the process; only a ring shows that the extension may have been created. */
pg_noreturn extern void sierra_runner_leave_without_extension(void);

/* The pause before the next visit for what rings nothing, in milliseconds. */
extern int64 sierra_runner_visit_pause(void);

#endif /* SIERRA_RUNNER_SLOT_H */
