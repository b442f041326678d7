/*
 * expected_version_sql.c
 *		The SQL type expected_version: any, exists, empty or a version.
 *
 * It is passed by value; event.h says what the values mean.
 */
#include "postgres.h"

#include "store/event.h"

#include "fmgr.h"
#include "libpq/pqformat.h"

PG_FUNCTION_INFO_V1(sierra_expected_version_in);
PG_FUNCTION_INFO_V1(sierra_expected_version_out);
PG_FUNCTION_INFO_V1(sierra_expected_version_recv);
PG_FUNCTION_INFO_V1(sierra_expected_version_send);
PG_FUNCTION_INFO_V1(sierra_expected_version_from_bigint);

#define HINT_EXPECTED_VERSION "Use any, exists, empty or a version from 0 on."

Datum
sierra_expected_version_in(PG_FUNCTION_ARGS)
{
	char *text = PG_GETARG_CSTRING(0);
	SierraExpectedVersion expected;

	if (!sierra_expected_version_parse(text, &expected))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid expected version: \"%s\"", text), errhint(HINT_EXPECTED_VERSION));
	PG_RETURN_INT64(expected);
}

Datum
sierra_expected_version_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(sierra_expected_version_text(PG_GETARG_INT64(0)));
}

Datum
sierra_expected_version_recv(PG_FUNCTION_ARGS)
{
	StringInfo buf = (StringInfo) PG_GETARG_POINTER(0);
	int64 value = pq_getmsgint64(buf);

	if (value < SIERRA_EXPECT_EMPTY)
		ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				errmsg("invalid expected version: %lld", (long long) value),
				errhint("Send a version from 0 on, or -1 for any, -2 for exists, -3 for empty."));
	PG_RETURN_INT64(value);
}

Datum
sierra_expected_version_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint64(&buf, PG_GETARG_INT64(0));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* The casts from integers refuse negative numbers: other stores use -1 for an empty stream. */
Datum
sierra_expected_version_from_bigint(PG_FUNCTION_ARGS)
{
	int64 value = PG_GETARG_INT64(0);

	if (value < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid expected version: %lld", (long long) value),
				errhint("Use 'empty' for a stream that must not have events, 'any' for no "
						"expectation."));
	PG_RETURN_INT64(value);
}
