/*
 * saga_sql.c
 *		The parts of run_sagas() that cannot be written in SQL.
 */
#include "postgres.h"

#include "base/args.h"
#include "saga/saga.h"
#include "saga/saga_action.h"
#include "saga/saga_step.h"
#include "store/extension.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(sierra_run_saga);
PG_FUNCTION_INFO_V1(sierra_call_saga);
PG_FUNCTION_INFO_V1(sierra_load_saga);
PG_FUNCTION_INFO_V1(sierra_append_saga_event);
PG_FUNCTION_INFO_V1(sierra_append_step_completed);
PG_FUNCTION_INFO_V1(sierra_write_saga_instance);

Datum
sierra_run_saga(PG_FUNCTION_ARGS)
{
	PreventCommandDuringRecovery("run_sagas()");
	PreventCommandIfReadOnly("run_sagas()");
	PG_RETURN_BOOL(sierra_saga_run(sierra_store_open(ACL_NO_RIGHTS), PG_GETARG_TEXT_PP(0),
								   PG_GETARG_BOOL(1), PG_GETARG_OID(2)));
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

Datum
sierra_load_saga(PG_FUNCTION_ARGS)
{
	SierraSagaState state;

	sierra_saga_load(NameStr(*PG_GETARG_NAME(0)), PG_GETARG_TEXT_PP(1), &state);
	PG_RETURN_DATUM(sierra_saga_state_form(&state));
}

Datum
sierra_append_saga_event(PG_FUNCTION_ARGS)
{
	SierraSagaState state;

	sierra_require_argument(fcinfo, 0, "state");
	sierra_require_argument(fcinfo, 1, "event_name");
	sierra_require_argument(fcinfo, 2, "payload");
	sierra_saga_state_deform(PG_GETARG_DATUM(0), &state);
	sierra_saga_append(&state, text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_JSONB_P(2),
					   PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3));
	PG_RETURN_DATUM(sierra_saga_state_form(&state));
}

Datum
sierra_append_step_completed(PG_FUNCTION_ARGS)
{
	SierraSagaState state;

	sierra_saga_state_deform(PG_GETARG_DATUM(0), &state);
	sierra_saga_complete_step(&state, PG_GETARG_JSONB_P(1));
	PG_RETURN_DATUM(sierra_saga_state_form(&state));
}

Datum
sierra_write_saga_instance(PG_FUNCTION_ARGS)
{
	SierraSagaState state;

	sierra_saga_state_deform(PG_GETARG_DATUM(1), &state);
	sierra_saga_write_row(sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_NO_RIGHTS),
						  &state);
	PG_RETURN_VOID();
}
