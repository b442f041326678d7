/*
 * job_switch.c
 *		Whether jobs run by themselves in a database, and in a store.
 *
 * Two settings say it: sierra_es.run_jobs and sierra_es.paused_stores.  They are settings
 * of a database rather than rows of a store, since they belong to one copy of the data: a
 * dump of the data does not carry them, so a copy is set before its rows are there.
 */
#include "postgres.h"

#include "base/guc.h"
#include "worker/job_switch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(sierra_runs_jobs);

/* What is set for the database now, in TopMemoryContext; NULL if nothing is. */
static char *run_jobs = NULL;
static char *paused_stores = NULL;

/* The value of a setting in an array of "name=value"; NULL if it is not there. */
static char *
find_setting(ArrayType *settings, const char *name)
{
	size_t length = strlen(name);
	Datum *elements;
	int count;

	if (settings == NULL)
		return NULL;
	deconstruct_array(settings, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char *element = TextDatumGetCString(elements[i]);

		if (strncmp(element, name, length) == 0 && element[length] == '=')
			return element + length + 1;
	}
	return NULL;
}

static void
keep_setting(char **kept, const char *value)
{
	if (*kept != NULL)
		pfree(*kept);
	*kept = value == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, value);
}

void
sierra_jobs_read_switch(void)
{
	Relation rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	ArrayType *settings = NULL;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(MyDatabaseId));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(InvalidOid));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value =
			heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(rel), &isnull);

		if (!isnull)
			settings = DatumGetArrayTypePCopy(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	keep_setting(&run_jobs, find_setting(settings, "sierra_es.run_jobs"));
	keep_setting(&paused_stores, find_setting(settings, "sierra_es.paused_stores"));
}

static bool
is_in_list(const char *store, const char *list)
{
	List *names;
	ListCell *cell;

	if (!SplitIdentifierString(pstrdup(list), ',', &names))
		return true; /* not a list: rather wait than run what is to be paused */
	foreach (cell, names)
	{
		if (strcmp(lfirst(cell), store) == 0)
			return true;
	}
	return false;
}

bool
sierra_jobs_run(const char *store)
{
	bool on = sierra_guc_run_jobs_of_server;

	/* A value that is not valid, or a list that is not one, is not on. */
	if (run_jobs != NULL && !parse_bool(run_jobs, &on))
		return false;
	return on && !is_in_list(store, paused_stores != NULL ? paused_stores
														  : sierra_guc_paused_stores_of_server);
}

/* For run_event_jobs(), by the settings of the session: do jobs of this store run? */
Datum
sierra_runs_jobs(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(sierra_guc_run_jobs &&
				   !is_in_list(NameStr(*PG_GETARG_NAME(0)), sierra_guc_paused_stores));
}
