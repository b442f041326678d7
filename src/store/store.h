/*
 * store.h
 *		Stores: which relations make one, and who may use them.
 *
 * A store is a schema with these ordinary tables (made by create_event_store):
 *		events			LIST-partitioned by partition_id: the events
 *		events_0 ...	its partitions, one per partition id
 *		stream_keys		streams whose partition key is not that of their name
 *		event_ids		the partition of every event id that a client chose
 *		global_position	the sequence object of global positions
 *
 * How many partitions it has is an argument of the guard trigger on events: it
 * must not depend on which partitions are attached just now, or streams would
 * be looked for elsewhere when one is detached.
 */
#ifndef SIERRA_STORE_H
#define SIERRA_STORE_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#define SIERRA_PARTITIONS_MAX 1024

typedef struct SierraStore
{
	NameData name;
	Oid schema;
	Oid events;
	Oid stream_keys;
	Oid event_ids;
	Oid global_position;
	bool plain_insert; /* rows may bypass the executor, see insert.c */
	bool subscribed;   /* logical replication writes to it */
	int partitions;
	Oid leaf[FLEXIBLE_ARRAY_MEMBER]; /* by partition id */
} SierraStore;

/*
 * The store that sierra_es.store names, for a caller with these rights on its
 * events table (ACL_SELECT, ACL_INSERT, or ACL_NO_RIGHTS).  Palloc'd in the current context, so
 * that it outlives any invalidation.  Errors: SE005 when there is none, 42501
 * without the right.
 */
extern SierraStore *sierra_store_open(AclMode rights);

/* The same for the store of this name. */
extern SierraStore *sierra_store_open_named(const char *store_name, AclMode rights);

/* The table of this name, which every store has; SE005 if this one has lost it. */
extern Oid sierra_store_table(const SierraStore *store, const char *table);

/* Raises SE005: the store does not exist, or no longer. */
extern void sierra_store_report_missing(const char *name);

/* Does row-level security of the events table hold for the current user? */
extern bool sierra_store_has_row_security(const SierraStore *store);

/*
 * Has this session already seen that the store's positions are ahead of its
 * events?  See position.c.
 */
extern bool sierra_store_position_checked(const SierraStore *store);
extern void sierra_store_set_position_checked(const SierraStore *store);

#endif /* SIERRA_STORE_H */
