/*
 * import_sql.c
 *		The SQL function import_events().
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

PG_FUNCTION_INFO_V1(sierra_import_events);

static SierraLineEvent *
read_lines(ArrayType *array, int *count)
{
	SierraLineEvent *lines;
	Datum *values;
	bool *nulls;

	/* The type is sierra_json, which is stored like json. */
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &values, &nulls, count);
	lines = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraLineEvent) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"%s\" must not contain nulls", "lines"),
					errdetail("Element %d is null.", i + 1));
		sierra_event_json_read_line(DatumGetTextPP(values[i]), i + 1, &lines[i]);
		sierra_event_check(&lines[i].event);
	}
	return lines;
}

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

Datum
sierra_import_events(PG_FUNCTION_ARGS)
{
	int settings = NewGUCNestLevel();
	SierraLineEvent *lines;
	SierraStore *store;
	int64 added;
	int count;

	sierra_require_argument(fcinfo, 0, "lines");
	lines = read_lines(PG_GETARG_ARRAYTYPE_P(0), &count);
	if (!PG_ARGISNULL(1))
		set_local("sierra_es.store", NameStr(*PG_GETARG_NAME(1)));
	/* Events are stored as they are, not with the metadata of this session. */
	set_local("sierra_es.metadata", "");
	store = sierra_import_needs_store(lines, count) ? sierra_store_open_alone()
													: sierra_store_open(ACL_INSERT);
	added = sierra_import(store, lines, count);
	AtEOXact_GUC(false, settings);
	PG_RETURN_INT64(added);
}
