/*
 * process_utility.h
 *		Statements that need a database for themselves end its runners.
 */
#ifndef SIERRA_PROCESS_UTILITY_H
#define SIERRA_PROCESS_UTILITY_H

/* Installs the ProcessUtility hook; called while preloaded libraries are loaded. */
extern void sierra_process_utility_install(void);

#endif /* SIERRA_PROCESS_UTILITY_H */
