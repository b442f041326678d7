/*
 * event_rows.c
 *		What SQL functions that return events share: arguments and result rows.
 */
#include "postgres.h"

#include "base/guc.h"
#include "read/event_rows.h"
#include "read/row_security.h"
#include "store/event.h"

#include "funcapi.h"
#include "utils/tuplestore.h"

/* Takes an event as values in the order of sierra_event; false: wants no more. */
static bool
take_row(void *arg, Datum *values, bool *nulls)
{
	SierraResult *result = arg;
	int64 position = DatumGetInt64(values[0]);

	if (result->taken++ == 0)
		result->first_position = position;
	result->window--;
	if (position > result->after)
	{
		tuplestore_putvalues(result->rows, result->desc, values, nulls);
		result->last_position = position;
		result->remaining--;
	}
	return result->remaining > 0 && result->window > 0;
}

static bool
put_event(SierraSink *base, TupleTableSlot *slot)
{
	Datum values[Natts_events];
	bool nulls[Natts_events];

	sierra_event_values(slot, values, nulls);
	return take_row((SierraResult *) base, values, nulls);
}

void
sierra_result_begin_rows(SierraResult *result, SierraStore *store, Tuplestorestate *rows,
						 TupleDesc desc, int64 max_count)
{
	result->base.put = put_event;
	result->store = store;
	result->rows = rows;
	result->desc = desc;
	result->remaining = max_count;
	result->after = SIERRA_NONE;
	result->window = PG_INT64_MAX;
	result->taken = 0;
	result->first_position = result->last_position = SIERRA_NONE;
	result->row_security = sierra_store_has_row_security(result->store);
	result->sink = result->row_security
					   ? sierra_row_security_sink(result->store, take_row, result, max_count)
					   : &result->base;
}

void
sierra_result_begin(FunctionCallInfo fcinfo, const char *store, int64 max_count,
					SierraResult *result)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	sierra_result_begin_rows(
		result, sierra_store_open_named(store != NULL ? store : sierra_guc_store, ACL_SELECT),
		rsinfo->setResult, rsinfo->setDesc, max_count);
}

void
sierra_result_flush(SierraResult *result)
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
