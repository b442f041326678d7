#include "store/append.h"

#include "base/settings.h"
#include "store/role_internal.h"
#include "store/writer.h"

/* Appends to one partition wait for each other in PostgreSQL, so they share a writer. */
static int
find_lane(const StoreRole *role, const StoreAppend *append)
{
	return uuid_partition(&append->events[0].partition_key, store_role_partitions(role)) %
		   settings.writers;
}

void
store_append(StoreRole *role, StoreAppend *append, int *lane, bool in_flight)
{
	/* lanes count from 1 */
	if (!in_flight || *lane == 0)
		*lane = find_lane(role, append) + 1;
	writer_add(role->writers[*lane - 1], append);
}
