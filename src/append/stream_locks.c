/*
 * stream_locks.c
 *		Locks the partitions of many streams before the first append to one of them.
 *
 * An append takes its locks in ascending order, so two appends cannot wait for each
 * other.  A transaction with many appends, in an order that is not that of partitions,
 * could take locks in any order.  So it takes all of them here first.
 *
 * As in an append, all tables are opened before the first lock is taken.  If another
 * session registers a stream after we looked for its key, the stream may need one more
 * lock; its append takes that.
 */
#include "postgres.h"

#include "append/stream_locks.h"
#include "base/routing.h"
#include "store/event.h"
#include "store/partition_lock.h"
#include "store/registry.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

static void
mark_partitions(SierraRegistryLookup *keys, const text *stream_id, const text *partition_key,
				bool *wanted)
{
	const SierraStore *store = keys->store;
	pg_uuid_t key;

	if (sierra_registry_find_key(keys, stream_id, &key))
	{
		wanted[sierra_uuid_partition(&key, store->partitions)] = true;
		return;
	}
	if (partition_key != NULL)
	{
		sierra_event_parse_key(partition_key, &key);
		wanted[sierra_uuid_partition(&key, store->partitions)] = true;
	}
	/* A session that creates a stream with another key also locks the stream's home. */
	sierra_uuid_of_name(VARDATA_ANY(stream_id), VARSIZE_ANY_EXHDR(stream_id), &key);
	wanted[sierra_uuid_partition(&key, store->partitions)] = true;
}

void
sierra_streams_lock(const SierraStore *store, text **stream_ids, text **partition_keys, int count)
{
	bool wanted[SIERRA_PARTITIONS_MAX] = {false};
	SierraRegistryLookup keys;

	sierra_registry_begin_keys(store, SnapshotSelf, &keys);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		mark_partitions(&keys, stream_ids[i], partition_keys[i], wanted);
	}
	sierra_registry_end(&keys);
	for (int i = 0; i < store->partitions; i++)
	{
		if (wanted[i])
			relation_close(sierra_scan_open_partition(store, i, RowExclusiveLock), NoLock);
	}
	for (int i = 0; i < store->partitions; i++)
	{
		if (wanted[i])
			sierra_partition_lock(store->partition_oids[i], SIERRA_LOCK_KEEP_OUT);
	}
}
