/*
 * stream_locks.h
 *		Locking the partitions of many streams before any of them is appended to.
 */
#ifndef SIERRA_STREAM_LOCKS_H
#define SIERRA_STREAM_LOCKS_H

#include "store/store.h"

/*
 * Locks the partitions that appends to these streams will lock, in ascending
 * order, until the transaction ends; a key is NULL where the stream has that of
 * its name, or the one that is registered.  The caller checked the INSERT right.
 */
extern void sierra_streams_lock(const SierraStore *store, text **stream_ids, text **partition_keys,
								int count);

#endif /* SIERRA_STREAM_LOCKS_H */
