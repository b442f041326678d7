/*
 * guc.c
 *		The extension's settings.
 */
#include "postgres.h"

#include "guc.h"

#include "utils/guc.h"

char *sierra_guc_store = NULL;
bool sierra_guc_strict_versioning = false;
bool sierra_guc_restore = false;

/* A longer name could be cut to that of another store. */
static bool
check_store(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) >= NAMEDATALEN)
	{
		GUC_check_errdetail("A store name has at most %d bytes.", NAMEDATALEN - 1);
		return false;
	}
	return true;
}

/* Defines all settings; called once per process, by _PG_init. */
void
sierra_guc_define(void)
{
	DefineCustomStringVariable("sierra_es.store",
							   "Names the event store that functions of sierra_es use.",
							   "A store is a schema made by create_event_store().",
							   &sierra_guc_store, "es", PGC_USERSET, 0, check_store, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.strict_versioning",
		"Refuses appends that do not say which version of the stream they expect.",
		"The expected versions any and exists are errors, as is the default of SierraDB.",
		&sierra_guc_strict_versioning, false, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomBoolVariable(
		"sierra_es.restore",
		"Lets the owner of a store load rows of a data-only dump into its event tables.",
		"COPY and INSERT into event tables are refused otherwise; check the result with everify().",
		&sierra_guc_restore, false, PGC_USERSET, 0, NULL, NULL, NULL);

	MarkGUCPrefixReserved("sierra_es");
}
