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

#include "funcapi.h"
#include "utils/tuplestore.h"

bool
sierra_event_rows_put(void *arg, Datum *values, bool *nulls)
{
	SierraEventRows *result = arg;

	tuplestore_putvalues(result->rows, result->desc, values, nulls);
	result->last_position = DatumGetInt64(values[SIERRA_EVENT_POSITION]);
	result->remaining--;
	return result->remaining > 0;
}

static bool
take(void *arg, Datum *values, bool *nulls)
{
	SierraEventRows *result = arg;

	return result->take(result->take_arg, values, nulls);
}

static bool
put_event(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	sierra_event_values(slot, values, nulls);
	return take(base, values, nulls);
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
	result->take = sierra_event_rows_put;
	result->take_arg = result;
	result->row_security = sierra_store_has_row_security(result->store);
	result->sink = result->row_security
					   ? sierra_row_security_sink(result->store, take, result, max_count)
					   : &result->base;
}

void
sierra_event_rows_begin(FunctionCallInfo fcinfo, const char *store, int64 max_count,
						SierraEventRows *result)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

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
