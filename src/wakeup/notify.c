/*
 * notify.c
 *		NOTIFY sierra_es: the channel and its payload.
 *
 * All stores of a database share one channel; otherwise a client of many stores
 * would need one LISTEN for each.  The payload is JSON, so that members can be added
 * later.
 */
#include "postgres.h"

#include "wakeup/notify.h"

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/json.h"

void
sierra_notify(const char *store, int64 position)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"store\":");
	escape_json(&payload, store);
	appendStringInfo(&payload, ",\"position\":" INT64_FORMAT "}", position);
	Async_Notify(SIERRA_CHANNEL, payload.data);
	pfree(payload.data);
}
