/*
 * worker.c
 *		What runs by itself when the library is preloaded.
 */
#include "postgres.h"

#include "doorbell.h"
#include "worker.h"

void
sierra_worker_preload(void)
{
	sierra_doorbell_request();
}
