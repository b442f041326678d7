/*
 * process_utility.h
 *		Statements that need a database for themselves send its worker away.
 */
#ifndef SIERRA_PROCESS_UTILITY_H
#define SIERRA_PROCESS_UTILITY_H

/* Installs the hook; called while preloaded libraries are loaded. */
extern void sierra_process_utility_install(void);

#endif /* SIERRA_PROCESS_UTILITY_H */
