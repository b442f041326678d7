/*
 * saga_sql.c
 *		The parts of run_sagas() that cannot be written in SQL.
 */
#include "postgres.h"

#include "saga/saga.h"
#include "store/extension.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(sierra_run_saga);
PG_FUNCTION_INFO_V1(sierra_call_saga);

static Oid
find_advance(void)
{
	static const Oid types[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID};

	return sierra_extension_function("advance_saga", lengthof(types), types);
}

Datum
sierra_run_saga(PG_FUNCTION_ARGS)
{
	PreventCommandDuringRecovery("run_sagas()");
	PreventCommandIfReadOnly("run_sagas()");
	PG_RETURN_BOOL(sierra_saga_run(sierra_store_open(ACL_NO_RIGHTS), PG_GETARG_TEXT_PP(0),
								   PG_GETARG_BOOL(1), PG_GETARG_OID(2), find_advance()));
}

Datum
sierra_call_saga(PG_FUNCTION_ARGS)
{
	SierraSagaCall saga_call = {.procedure = text_to_cstring(PG_GETARG_TEXT_PP(0)),
								.data = PG_GETARG_JSONB_P(1),
								.saga_id = PG_GETARG_TEXT_PP(2),
								.search_path = text_to_cstring(PG_GETARG_TEXT_PP(3)),
								.metadata = text_to_cstring(PG_GETARG_TEXT_PP(4))};
	Jsonb *answer = sierra_saga_call(&saga_call);

	if (answer == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(answer);
}
