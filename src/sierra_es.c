/*
 * sierra_es.c
 *		The library's entry: sets up what other modules define.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "worker/notifier.h"

#include "fmgr.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

void
_PG_init(void)
{
	sierra_guc_define();
	if (process_shared_preload_libraries_in_progress)
		sierra_background_preload();
}
