/*
 * registry.h
 *		The companion tables stream_keys, event_ids and event_tags.
 *
 * stream_keys has a row for each stream whose partition key is not that of its
 * name; readers find these streams with it.  event_ids has a row for each event id
 * that a client chose, unless it leads to its partition as a generated id does
 * (sierra_uuid_leads_to()).  It makes these ids unique in the whole store, while the
 * indexes of the partitions make ids unique only within each partition.  event_tags has
 * a row for each tag of each event, with the place of the event, see event_tags.h.
 */
#ifndef SIERRA_REGISTRY_H
#define SIERRA_REGISTRY_H

#include "nodes/execnodes.h"
#include "utils/array.h"
#include "utils/snapshot.h"

#include "base/compat.h"
#include "store/scan.h"
#include "store/store.h"
#include "store/table_shape.h"

/*
 * Looks rows of one of the tables up.  A call that has many keys or ids to look
 * up begins once, as that opens the table and its index.
 */
typedef struct SierraRegistryLookup
{
	const SierraStore *store;
	bool active; /* it has begun and not ended; set it to false before */
	bool empty;	 /* there was nothing to find, so nothing is open */
	Relation rel;
	SierraScan scan;
	SnapshotData dirty; /* for ids that are being added */
} SierraRegistryLookup;

extern void sierra_registry_begin_keys(const SierraStore *store, Snapshot snapshot,
									   SierraRegistryLookup *lookup);

/* Ids are looked up among committed rows; see sierra_scan_find_settled(). */
extern void sierra_registry_begin_ids(const SierraStore *store, SierraRegistryLookup *lookup);

/* The registered key of a stream; false if there is none. */
extern bool sierra_registry_find_key(SierraRegistryLookup *lookup, const text *stream_id,
									 pg_uuid_t *key);

/* Is the id registered?  Waits for transactions that are adding it. */
extern bool sierra_registry_has_id(SierraRegistryLookup *lookup, const pg_uuid_t *event_id);

/* Does nothing if the lookup has not begun. */
extern void sierra_registry_end(SierraRegistryLookup *lookup);

/* The key of one stream as the snapshot sees it; false if there is none. */
extern bool sierra_registry_key_of(const SierraStore *store, const text *stream_id,
								   Snapshot snapshot, pg_uuid_t *key);

/* The partition of one registered id as the snapshot sees it, or -1. */
extern int sierra_registry_partition_of(const SierraStore *store, const pg_uuid_t *event_id,
										Snapshot snapshot);

/*
 * Opens table event_tags and its index, both with AccessShareLock; SE005 if the table has
 * been altered.
 */
extern Relation sierra_registry_open_tags_index(const SierraStore *store, Relation *index);

/* Writes rows of one of the tables, which is opened once for all rows of a call. */
typedef struct SierraRegistryWriter
{
	EState *estate;
	const SierraTableShape *shape;
	Relation rel;		   /* NULL: not open; set it so before */
	ResultRelInfo *result; /* NULL: the table is plain, and this is its index */
	Relation index;
	TupleTableSlot *slot;
} SierraRegistryWriter;

extern void sierra_registry_open_keys(const SierraStore *store, EState *estate,
									  SierraRegistryWriter *writer);
extern void sierra_registry_open_ids(const SierraStore *store, EState *estate,
									 SierraRegistryWriter *writer);

/* Registers the key of a new stream; the caller holds the lock of the stream's home. */
extern void sierra_registry_add_key(SierraRegistryWriter *writer, const text *stream_id,
									const pg_uuid_t *key);

/* Registers an event id; raises SE003 if another transaction has just added it. */
extern void sierra_registry_add_id(SierraRegistryWriter *writer, const pg_uuid_t *event_id,
								   int partition);

/* Raises SE003: the id was free when this append looked for it, and is not any more. */
pg_noreturn extern void sierra_registry_report_taken(const pg_uuid_t *event_id);

extern void sierra_registry_open_tags(const SierraStore *store, EState *estate,
									  SierraRegistryWriter *writer);

/* Adds a row for each tag of an event, which is not NULL. */
extern void sierra_registry_add_tags(SierraRegistryWriter *writer, ArrayType *tags, int64 position,
									 int partition, int64 sequence);

/* Does nothing if the writer is not open. */
extern void sierra_registry_close(SierraRegistryWriter *writer);

#endif /* SIERRA_REGISTRY_H */
