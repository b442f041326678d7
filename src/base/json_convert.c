/*
 * json_convert.c
 *		Values of json and jsonb from each other.
 *
 * The functions of SQL type sierra_json are those of json, and its cast from jsonb.
 */
#include "postgres.h"

#include "base/json_convert.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(sierra_json_in);
PG_FUNCTION_INFO_V1(sierra_json_out);
PG_FUNCTION_INFO_V1(sierra_json_recv);
PG_FUNCTION_INFO_V1(sierra_json_send);
PG_FUNCTION_INFO_V1(sierra_json_from_jsonb);

Datum
sierra_json_in(PG_FUNCTION_ARGS)
{
	return json_in(fcinfo);
}

Datum
sierra_json_out(PG_FUNCTION_ARGS)
{
	return json_out(fcinfo);
}

Datum
sierra_json_recv(PG_FUNCTION_ARGS)
{
	return json_recv(fcinfo);
}

Datum
sierra_json_send(PG_FUNCTION_ARGS)
{
	return json_send(fcinfo);
}

text *
sierra_json_of_jsonb(Datum jsonb)
{
	Jsonb *value = DatumGetJsonbP(jsonb);

	return cstring_to_text(JsonbToCString(NULL, &value->root, VARSIZE(value)));
}

Datum
sierra_jsonb_of_json(const text *json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(json)));
}

/* What jsonb writes is valid JSON, so it is not parsed again. */
Datum
sierra_json_from_jsonb(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(sierra_json_of_jsonb(PG_GETARG_DATUM(0)));
}
