/*
 * export.h
 *		Passes events of a store on as lines, up to the horizon.
 */
#ifndef SIERRA_EXPORT_H
#define SIERRA_EXPORT_H

#include "read/read_request.h"
#include "store/store.h"

#include "lib/stringinfo.h"

/*
 * Gets the line of an event, which is overwritten afterwards, with its values in the order of
 * sierra_event.  Returns false if it needs no more.
 */
typedef bool (*SierraLineCallback)(void *arg, const Datum *values, StringInfo line);

/*
 * Passes the requested events on in the order of global positions.  Only those that the
 * current user may see, if row-level security holds.
 */
extern void sierra_export(SierraStore *store, const SierraReadAll *request, bool numbers,
						  SierraLineCallback callback, void *arg);

#endif /* SIERRA_EXPORT_H */
