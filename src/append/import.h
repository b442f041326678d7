/*
 * import.h
 *		Imports events that export_events() or another program wrote.
 */
#ifndef SIERRA_IMPORT_H
#define SIERRA_IMPORT_H

#include "append/event_json.h"
#include "store/store.h"

/*
 * Appends the events of all lines in their order.  number is that of the first line, from 1
 * on, for the context of errors.  Those that are stored already are left
 * out; returns how many were not.  Raises the errors of an append, and 23505 if a
 * stored event has another version than its line.
 */
extern int64 sierra_import(const SierraStore *store, SierraLineEvent *lines, int64 number,
						   int count);

/* Adds the number of a line, an int64, to an error. */
extern void sierra_import_context(void *arg);

/* Does the import need a store that sierra_store_open_alone() has opened? */
extern bool sierra_import_needs_store(SierraLineEvent *lines, int count);

#endif /* SIERRA_IMPORT_H */
