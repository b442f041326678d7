/*
 * complete.h
 *		Whether a store has everything that it needs to run jobs.
 */
#ifndef SIERRA_COMPLETE_H
#define SIERRA_COMPLETE_H

#include "store/store.h"

/*
 * Raises SE005 unless each table of the store has its columns and its keys.  While a
 * dump is restored, rows are there before keys, and jobs that ran on them would fail.
 * Cheap, unless tables have changed since the last call of this session.
 */
extern void sierra_store_check_complete(const SierraStore *store);

#endif /* SIERRA_COMPLETE_H */
