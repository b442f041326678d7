/*
 * registry.h
 *		The companion tables: streams with a key of their own, ids of clients.
 *
 * stream_keys has a row for each stream whose partition key is not that of its
 * name; readers find such streams by it.  event_ids has a row for each event
 * id that a client chose, so that an id is unique in the whole store although
 * the partitions can only keep it unique within themselves.  (Generated ids
 * carry the hash of their partition and need no row.)
 */
#ifndef SIERRA_REGISTRY_H
#define SIERRA_REGISTRY_H

#include "nodes/execnodes.h"
#include "utils/snapshot.h"

#include "store/store.h"

/* The registered key of a stream as the snapshot sees it; false if none. */
extern bool sierra_registry_find_key(const SierraStore *store, const text *stream_id,
									 Snapshot snapshot, pg_uuid_t *key);

extern void sierra_registry_add_key(const SierraStore *store, EState *estate, const text *stream_id,
									const pg_uuid_t *key);

/* The partition of a registered event id as the snapshot sees it, or -1. */
extern int sierra_registry_find_id(const SierraStore *store, const pg_uuid_t *event_id,
								   Snapshot snapshot);

/* As above among committed rows; waits for transactions that are adding it. */
extern int sierra_registry_find_settled_id(const SierraStore *store, const pg_uuid_t *event_id);

/* Raises SE003 when another transaction added the id just now. */
extern void sierra_registry_add_id(const SierraStore *store, EState *estate,
								   const pg_uuid_t *event_id, int partition);

#endif /* SIERRA_REGISTRY_H */
