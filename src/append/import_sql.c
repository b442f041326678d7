/*
 * import_sql.c
 *		The SQL function import_events(), and what import_events_from() calls for each batch.
 */
#include "postgres.h"

#include "append/import.h"
#include "base/args.h"
#include "base/guc.h"
#include "wakeup/progress.h"

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
import(SierraLineEvent *lines, int64 first, int count, const char *store_name)
{
	int settings = NewGUCNestLevel();
	SierraStore *store;
	int64 added;

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
	const char *store_name = PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1));
	SierraLineEvent *lines;
	int64 added;
	int count;

	sierra_require_argument(fcinfo, 0, "lines");
	sierra_progress_begin("import", store_name == NULL ? sierra_guc_store : store_name, "");
	sierra_progress_phase("reading lines", -1);
	lines = read_lines(PG_GETARG_ARRAYTYPE_P(0), 1, &count);
	sierra_progress_phase("appending events", count);
	added = import(lines, 1, count, store_name);
	sierra_progress_end();
	PG_RETURN_INT64(added);
}

/* A batch of import_events_from(), which has begun the progress. */

Datum
sierra_import_lines(PG_FUNCTION_ARGS)
{
	int64 first = PG_GETARG_INT64(2);
	SierraLineEvent *lines;
	int count;

	lines = read_lines(PG_GETARG_ARRAYTYPE_P(0), first, &count);
	PG_RETURN_INT64(import(lines, first, count, NameStr(*PG_GETARG_NAME(1))));
}
