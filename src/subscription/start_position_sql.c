/*
 * start_position_sql.c
 *		The SQL type start_position: latest, earliest or a global position.
 *
 * It is passed by value.  A subscription delivers what follows the position: so earliest
 * is -1.
 */
#include "postgres.h"

#include "fmgr.h"
#include "libpq/pqformat.h"

PG_FUNCTION_INFO_V1(sierra_start_position_in);
PG_FUNCTION_INFO_V1(sierra_start_position_out);
PG_FUNCTION_INFO_V1(sierra_start_position_recv);
PG_FUNCTION_INFO_V1(sierra_start_position_send);
PG_FUNCTION_INFO_V1(sierra_start_position_from_bigint);

#define START_EARLIEST INT64CONST(-1)
#define START_LATEST INT64CONST(-2)

#define HINT_START_POSITION                                                                        \
	"Use latest, earliest or a global position: what follows it is delivered."

/* Reads a word, in any case, or a position from -1 on; false if the text is neither. */
static bool
parse(const char *text, int64 *position)
{
	const char *digits = text + (*text == '-' ? 1 : 0);
	char *end;

	if (pg_strcasecmp(text, "latest") == 0)
		*position = START_LATEST;
	else if (pg_strcasecmp(text, "earliest") == 0)
		*position = START_EARLIEST;
	else
	{
		errno = 0;
		*position = strtoi64(text, &end, 10);
		return errno == 0 && *digits >= '0' && *digits <= '9' && *end == '\0' &&
			   *position >= START_EARLIEST;
	}
	return true;
}

Datum
sierra_start_position_in(PG_FUNCTION_ARGS)
{
	char *text = PG_GETARG_CSTRING(0);
	int64 position;

	if (!parse(text, &position))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid start position: \"%s\"", text), errhint(HINT_START_POSITION));
	PG_RETURN_INT64(position);
}

Datum
sierra_start_position_out(PG_FUNCTION_ARGS)
{
	int64 position = PG_GETARG_INT64(0);

	if (position == START_LATEST)
		PG_RETURN_CSTRING(pstrdup("latest"));
	if (position == START_EARLIEST)
		PG_RETURN_CSTRING(pstrdup("earliest"));
	PG_RETURN_CSTRING(psprintf("%lld", (long long) position));
}

Datum
sierra_start_position_recv(PG_FUNCTION_ARGS)
{
	StringInfo buf = (StringInfo) PG_GETARG_POINTER(0);
	int64 position = pq_getmsgint64(buf);

	if (position < START_LATEST)
		ereport(ERROR, errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				errmsg("invalid start position: %lld", (long long) position),
				errhint("Send a position from 0 on, or -1 for earliest, -2 for latest."));
	PG_RETURN_INT64(position);
}

Datum
sierra_start_position_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint64(&buf, PG_GETARG_INT64(0));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* The casts from integers do not know latest: -2 would rather be a mistake. */
Datum
sierra_start_position_from_bigint(PG_FUNCTION_ARGS)
{
	int64 position = PG_GETARG_INT64(0);

	if (position < START_EARLIEST)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid start position: %lld", (long long) position),
				errhint(HINT_START_POSITION));
	PG_RETURN_INT64(position);
}
