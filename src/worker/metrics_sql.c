/*
 * metrics_sql.c
 *		The counters in shared memory, for event_metrics().
 */
#include "postgres.h"

#include "wakeup/counters.h"
#include "wakeup/shared.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(sierra_store_counters);
PG_FUNCTION_INFO_V1(sierra_database_counters);

static Datum
form_counters(FunctionCallInfo fcinfo, const uint64 *counters, int count)
{
	TupleDesc desc;
	Datum *values = palloc(sizeof(Datum) * count);
	bool *nulls = palloc0(sizeof(bool) * count);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum((int64) counters[i]);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* The counters of a store, in the order of SierraCounter; NULL if it has none. */
Datum
sierra_store_counters(PG_FUNCTION_ARGS)
{
	uint64 counters[SIERRA_COUNTERS];

	if (!sierra_counters_copy(get_namespace_oid(NameStr(*PG_GETARG_NAME(0)), true), counters))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(form_counters(fcinfo, counters, SIERRA_COUNTERS));
}

/* Wake-ups, and jobs of runners: run, failed, handled; NULL if the database has no slot. */
Datum
sierra_database_counters(PG_FUNCTION_ARGS)
{
	SierraDatabaseSlot *slot = sierra_shared_own_slot();
	uint64 counters[4];

	if (slot == NULL)
		PG_RETURN_NULL();
	sierra_counters_free_dropped();
	counters[0] = pg_atomic_read_u64(&slot->wakeups);
	counters[1] = pg_atomic_read_u64(&slot->jobs_run);
	counters[2] = pg_atomic_read_u64(&slot->jobs_failed);
	counters[3] = pg_atomic_read_u64(&slot->jobs_handled);
	PG_RETURN_DATUM(form_counters(fcinfo, counters, 4));
}
