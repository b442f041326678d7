/*
 * export.c
 *		Passes events of a store on as lines, up to the horizon.
 */
#include "postgres.h"

#include "read/event_line.h"
#include "read/export.h"
#include "read/read_all.h"
#include "read/row_security.h"
#include "store/event.h"

#include "utils/memutils.h"

typedef struct Export
{
	SierraSink base;
	bool numbers;
	SierraLineCallback callback;
	void *arg;
	StringInfoData line;
	MemoryContext context; /* reset after each event */
} Export;

static bool
put_values(void *arg, Datum *values, bool *nulls)
{
	Export *export = arg;
	MemoryContext caller = MemoryContextSwitchTo(export->context);
	bool goes_on;

	resetStringInfo(&export->line);
	sierra_event_line_write(&export->line, values, nulls, export->numbers);
	MemoryContextSwitchTo(caller);
	goes_on = export->callback(export->arg, values, &export->line);
	MemoryContextReset(export->context);
	return goes_on;
}

static bool
put_slot(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	sierra_event_values(slot, values, nulls);
	return put_values(base, values, nulls);
}

void
sierra_export(SierraStore *store, const SierraReadAll *request, bool numbers,
			  SierraLineCallback callback, void *arg)
{
	Export export = {.base = {put_slot}, .numbers = numbers, .callback = callback, .arg = arg};
	SierraSink *secure;

	initStringInfo(&export.line);
	export.context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es line", ALLOCSET_DEFAULT_SIZES);
	if (!sierra_store_has_row_security(store))
		sierra_read_all(store, request, &export.base);
	else
	{
		secure = sierra_row_security_sink(store, put_values, &export, request->expected_rows);
		sierra_read_all(store, request, secure);
		sierra_row_security_finish(secure);
	}
	MemoryContextDelete(export.context);
	pfree(export.line.data);
}
