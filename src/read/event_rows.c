/*
 * event_rows.c
 *		The result rows of SQL functions that return events.
 */
#include "postgres.h"

#include "base/guc.h"
#include "read/event_rows.h"
#include "read/row_security.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/scan.h"

#include "funcapi.h"
#include "utils/tuplestore.h"

/* How much memory a session may keep from one call to the next. */
#define KEPT_MEMORY (8 * 1024 * 1024)

/* Is the event at this position to be returned?  *goes_on: is another one needed after it? */
static bool
is_wanted(SierraEventRows *result, int64 position, bool *goes_on)
{
	bool wanted = true;

	*goes_on = result->count == NULL || result->count(result->arg, position, &wanted);
	if (!wanted)
		return false;
	result->last_position = position;
	*goes_on = --result->remaining > 0 && *goes_on;
	return true;
}

/* Takes an event from row-level security, as values in the order of sierra_event. */
static bool
put_values(void *arg, Datum *values, bool *nulls)
{
	SierraEventRows *result = arg;
	bool goes_on;

	if (is_wanted(result, DatumGetInt64(values[SIERRA_EVENT_POSITION]), &goes_on))
		tuplestore_putvalues(result->rows, result->desc, values, nulls);
	return goes_on;
}

static void
put_slot(SierraEventRows *result, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	if (result->forms_tuples && sierra_event_tuple_form(&result->tuple, slot))
		tuplestore_puttuple(result->rows, &result->tuple.tuple);
	else
	{
		sierra_event_values(slot, values, nulls);
		tuplestore_putvalues(result->rows, result->desc, values, nulls);
	}
}

static bool
put_event(SierraSink *base, TupleTableSlot *slot)
{
	SierraEventRows *result = (SierraEventRows *) base;
	bool goes_on;

	if (is_wanted(result, sierra_event_position(slot), &goes_on))
		put_slot(result, slot);
	return goes_on;
}

void
sierra_event_rows_begin_in(SierraEventRows *result, SierraStore *store, Tuplestorestate *rows,
						   TupleDesc desc, int64 max_count)
{
	result->base.put = put_event;
	result->store = store;
	result->rows = rows;
	result->desc = desc;
	result->remaining = max_count;
	result->last_position = SIERRA_NONE;
	result->count = NULL;
	sierra_event_tuple_begin(&result->tuple, CurrentMemoryContext);
	result->forms_tuples = sierra_event_tuple_fits(desc);
	result->row_security = sierra_store_has_row_security(result->store);
	result->sink = result->row_security
					   ? sierra_row_security_sink(result->store, put_values, result, max_count)
					   : &result->base;
}

/*
 * The result of a call can take some hundred kilobytes, which the C library returns to the
 * system after each call; to get them again, page by page, takes the system about a tenth of
 * the time of a read of 1000 events.  After a block of this size was freed once, the GNU C
 * library keeps up to twice as much for the session (see M_MMAP_THRESHOLD in mallopt(3)).
 */
static void
keep_memory(void)
{
	static bool done = false;

	if (!done)
		pfree(palloc(KEPT_MEMORY / 2));
	done = true;
}

void
sierra_event_rows_begin(FunctionCallInfo fcinfo, const char *store, int64 max_count,
						SierraEventRows *result)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	keep_memory();
	InitMaterializedSRF(fcinfo, 0);
	sierra_extension_check_desc(rsinfo->setDesc, Natts_events);
	sierra_event_rows_begin_in(
		result, sierra_store_open_named(store != NULL ? store : sierra_guc_store, ACL_SELECT),
		rsinfo->setResult, rsinfo->setDesc, max_count);
}

void
sierra_event_rows_flush(SierraEventRows *result)
{
	if (result->row_security)
		sierra_row_security_finish(result->sink);
}

void
sierra_check_partition(const SierraStore *store, int partition)
{
	if (partition < 0 || partition >= store->partitions)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("partition %d does not exist", partition),
				errdetail("Store \"%s\" has partitions 0 to %d.", NameStr(store->name),
						  store->partitions - 1));
}
