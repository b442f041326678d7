/*
 * saga_start.c
 *		The statements of start_saga(), with kept plans.
 */
#include "postgres.h"

#include "base/args.h"
#include "store/query.h"
#include "wakeup/doorbell.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(sierra_newest_saga);
PG_FUNCTION_INFO_V1(sierra_add_saga_instance);

static const SierraQuery newest_query = {
	"SELECT pg_catalog.jsonb_build_object('version', d.version, 'timeout', d.timeout,"
	" 'step', d.steps OPERATOR(pg_catalog.->) 0) FROM %1$s.sagas AS d"
	" WHERE d.saga OPERATOR(pg_catalog.=) $1 ORDER BY d.version DESC LIMIT 1",
	1,
	{TEXTOID}};

#define INSERT_ARGS 7

static const SierraQuery insert_query = {
	"INSERT INTO %1$s.saga_instances (saga_id, saga, version, status, step, attempts, run_at,"
	" deadline, correlation_id, started_at, updated_at)"
	" VALUES ($1, $2, $3, 'running', $4, 0, $5, $6, $7, $5, $5) ON CONFLICT DO NOTHING",
	INSERT_ARGS,
	{TEXTOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID}};

/* The newest version of a saga: its number, time-out and first step; null if there is none. */
Datum
sierra_newest_saga(PG_FUNCTION_ARGS)
{
	Datum values[1] = {PG_GETARG_DATUM(1)};
	SierraStore *store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_NO_RIGHTS);
	MemoryContext context = sierra_query_begin();
	Datum newest = (Datum) 0;
	bool found = sierra_query(store, &newest_query, values, NULL, false) > 0;

	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		newest = PointerGetDatum(PG_DETOAST_DATUM_COPY(sierra_query_required(0, 1, JSONBOID)));
		MemoryContextSwitchTo(spi);
	}
	sierra_query_end();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(newest);
}

/* Returns false if there is an instance of this name. */
Datum
sierra_add_saga_instance(PG_FUNCTION_ARGS)
{
	Datum values[INSERT_ARGS];
	bool nulls[INSERT_ARGS];
	SierraStore *store;
	bool added;

	sierra_require_argument(fcinfo, 0, "store");
	store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_NO_RIGHTS);
	for (int i = 0; i < INSERT_ARGS; i++)
	{
		values[i] = fcinfo->args[i + 1].value;
		nulls[i] = fcinfo->args[i + 1].isnull;
	}
	(void) sierra_query_begin();
	added = sierra_query(store, &insert_query, values, nulls, false) > 0;
	sierra_query_end();
	/* Whoever has written the row: start_saga() continues unless the saga has started. */
	sierra_doorbell_note_job(store);
	PG_RETURN_BOOL(added);
}
