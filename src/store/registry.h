/*
 * registry.h
 *		The companion tables stream_keys and event_ids.
 *
 * stream_keys has a row for each stream whose partition key is not that of its
 * name; readers find these streams with it.  event_ids has a row for each event id
 * that a client chose.  It makes these ids unique in the whole store, while the
 * indexes of the partitions make ids unique only within each partition.  A generated
 * id contains the hash of its partition key, so it does not need a row.
 */
#ifndef SIERRA_REGISTRY_H
#define SIERRA_REGISTRY_H

#include "nodes/execnodes.h"
#include "utils/snapshot.h"

#include "store/store.h"

/* The registered key of a stream as the snapshot sees it; false if there is none. */
extern bool sierra_registry_find_key(const SierraStore *store, const text *stream_id,
									 Snapshot snapshot, pg_uuid_t *key);

/* Registers the key of a new stream; the caller holds the lock of the stream's home. */
extern void sierra_registry_add_key(const SierraStore *store, EState *estate, const text *stream_id,
									const pg_uuid_t *key);

/* The partition of a registered event id as the snapshot sees it, or -1. */
extern int sierra_registry_find_id(const SierraStore *store, const pg_uuid_t *event_id,
								   Snapshot snapshot);

/* The same for committed rows; waits for transactions that are adding this id. */
extern int sierra_registry_find_settled_id(const SierraStore *store, const pg_uuid_t *event_id);

/* Registers an event id; raises SE003 if another transaction has just added it. */
extern void sierra_registry_add_id(const SierraStore *store, EState *estate,
								   const pg_uuid_t *event_id, int partition);

#endif /* SIERRA_REGISTRY_H */
