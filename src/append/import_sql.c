/*
 * import_sql.c
 *		The SQL function import_events(), and what import_events_from() calls for each batch.
 */
#include "postgres.h"

#include "append/import.h"
#include "base/args.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"

PG_FUNCTION_INFO_V1(sierra_import_events);
PG_FUNCTION_INFO_V1(sierra_import_lines);

/* The elements are of type sierra_json, which is stored like json, or texts to be checked. */
static SierraLineEvent *
read_lines(ArrayType *array, int64 first, int *count)
{
	bool are_texts = ARR_ELEMTYPE(array) == TEXTOID;
	int64 number = first;
	ErrorContextCallback context = {
		.previous = error_context_stack, .callback = sierra_import_context, .arg = &number};
	SierraLineEvent *lines;
	Datum *values;
	bool *nulls;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &values, &nulls, count);
	lines = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraLineEvent) * (*count + 1));
	error_context_stack = &context;
	for (int i = 0; i < *count; i++, number++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"%s\" must not contain nulls", "lines"),
					errdetail("Element %lld is null.", (long long) number));
		if (are_texts)
			values[i] =
				DirectFunctionCall1(json_in, CStringGetDatum(TextDatumGetCString(values[i])));
		sierra_event_json_read_line(DatumGetTextPP(values[i]), (int) number, &lines[i]);
		sierra_event_check(&lines[i].event);
	}
	error_context_stack = context.previous;
	return lines;
}

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/* first is the number of the first line, for messages. */
static int64
import(ArrayType *array, int64 first, const char *store_name)
{
	int settings = NewGUCNestLevel();
	SierraLineEvent *lines;
	SierraStore *store;
	int64 added;
	int count;

	lines = read_lines(array, first, &count);
	if (store_name != NULL)
		set_local("sierra_es.store", store_name);
	/* Events are stored as they are, not with the metadata of this session. */
	set_local("sierra_es.metadata", "");
	store = sierra_import_needs_store(lines, count) ? sierra_store_open_alone()
													: sierra_store_open(ACL_INSERT);
	added = sierra_import(store, lines, first, count);
	AtEOXact_GUC(false, settings);
	return added;
}

Datum
sierra_import_events(PG_FUNCTION_ARGS)
{
	sierra_require_argument(fcinfo, 0, "lines");
	PG_RETURN_INT64(
		import(PG_GETARG_ARRAYTYPE_P(0), 1, PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1))));
}

Datum
sierra_import_lines(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(
		import(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_INT64(2), NameStr(*PG_GETARG_NAME(1))));
}
