/*
 * process_utility.h
 *		Statements that need a database for themselves send its worker away.
 */
#ifndef SIERRA_PROCESS_UTILITY_H
#define SIERRA_PROCESS_UTILITY_H

/* Installs the hook; called while preloaded libraries are loaded. */
extern void sierra_exclusive_install(void);

/*
 * Does a statement keep workers out of this database?  The caller holds the
 * doorbell's lock.
 */
extern bool sierra_exclusive_is_held(Oid database);

#endif /* SIERRA_PROCESS_UTILITY_H */
