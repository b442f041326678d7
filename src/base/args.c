/*
 * args.c
 *		Checks of the arguments of SQL functions.
 */
#include "postgres.h"

#include "base/args.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

void
sierra_require_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"%s\" must not be null", name));
}

int64
sierra_arg_max_count(FunctionCallInfo fcinfo, int arg)
{
	int64 max_count;

	if (PG_ARGISNULL(arg))
		return PG_INT64_MAX;
	max_count = PG_GETARG_INT64(arg);
	if (max_count < 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_count must not be negative"),
				errdetail("It is %lld.", (long long) max_count),
				errhint("Pass NULL to read everything."));
	return max_count;
}

/* At least one: an empty result of a call for 0 events would not say anything. */
int64
sierra_arg_count(FunctionCallInfo fcinfo, int arg)
{
	int32 count;

	sierra_require_argument(fcinfo, arg, "max_count");
	count = PG_GETARG_INT32(arg);
	if (count < 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("max_count must be at least 1"), errdetail("It is %d.", count));
	return count;
}

int64
sierra_arg_usecs(FunctionCallInfo fcinfo, int arg, const char *name, int days)
{
	Interval *interval;
	double usecs;

	sierra_require_argument(fcinfo, arg, name);
	interval = PG_GETARG_INTERVAL_P(arg);
	usecs = interval->time +
			((double) interval->day + interval->month * (double) DAYS_PER_MONTH) * USECS_PER_DAY;
	if (usecs < 0 || usecs > (double) days * USECS_PER_DAY)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg_plural("argument \"%s\" must be 0 to %d day",
							  "argument \"%s\" must be 0 to %d days", days, name, days),
				errdetail("It is %s.", DatumGetCString(DirectFunctionCall1(interval_out,
																		   PG_GETARG_DATUM(arg)))));
	return (int64) usecs;
}

text **
sierra_array_texts(ArrayType *array, int *count)
{
	Datum *values;
	bool *nulls;
	text **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, count);
	texts = palloc(sizeof(text *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		texts[i] = nulls[i] ? NULL : DatumGetTextPP(values[i]);
	return texts;
}
