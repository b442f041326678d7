/*
 * stream_locks.h
 *		Locks the partitions of many streams before the first append to one of them.
 */
#ifndef SIERRA_STREAM_LOCKS_H
#define SIERRA_STREAM_LOCKS_H

#include "store/store.h"

/*
 * Locks the partitions that appends to these streams will lock, in ascending order,
 * until the transaction ends.  partition_keys[i] is the argument partition_key of the
 * append to stream_ids[i]; NULL: the stream has the key that is registered, or that of
 * its name.  The caller has checked the right to INSERT.
 */
extern void sierra_streams_lock(const SierraStore *store, text **stream_ids, text **partition_keys,
								int count);

#endif /* SIERRA_STREAM_LOCKS_H */
