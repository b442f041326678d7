/*
 * sierra_es.c
 *		The entry point of the library: defines the settings and, if the library is
 *		preloaded, sets up shared memory and background processes.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/error_context.h"
#include "base/guc.h"
#include "worker/worker_launcher.h"

#include "fmgr.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

void
_PG_init(void)
{
	sierra_guc_define();
	sierra_error_context_install();
	if (process_shared_preload_libraries_in_progress)
		sierra_background_preload();
}
