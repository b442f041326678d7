/*
 * sierra_es.c
 *		The library's entry: sets up what other modules define.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

void
_PG_init(void)
{
	sierra_guc_define();
}
