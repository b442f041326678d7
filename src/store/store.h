/*
 * store.h
 *		Stores: which relations a store consists of, and which roles may use it.
 *
 * A store is a schema with these relations, which create_event_store() creates:
 *		events			LIST-partitioned by partition_id: the events
 *		events_0 ...	the partitions of events, one per partition id
 *		stream_keys		streams whose partition key is not that of their name
 *		event_ids		partitions of event ids that clients chose, see registry.h
 *		event_tags		a row for each tag of each event
 *		global_position	the sequence object of global positions
 *
 * The number of partitions is an argument of the guard trigger on events.  It is not
 * the number of attached partitions: with that, streams would be looked for in other
 * partitions as soon as one partition is detached.
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
	Oid event_tags;
	Oid global_position;
	int64 position_max; /* the largest that its sequence gives out */
	bool plain_insert;	/* rows may be inserted without the executor, see insert.c */
	bool subscribed;	/* logical replication writes to it */
	bool locked_alone;	/* sierra_store_open_alone() has opened it */
	int partitions;		/* how many there are */
	Oid partition_oids[FLEXIBLE_ARRAY_MEMBER]; /* tables of the partitions, by partition id */
} SierraStore;

/*
 * The store that sierra_es.store names, palloc'd in the current context, so that an
 * invalidation does not change it.  Raises SE005 if there is no complete store of
 * this name, and 42501 unless the current user has these rights on the events table
 * (ACL_SELECT, ACL_INSERT or ACL_NO_RIGHTS) and USAGE on the schema.
 *
 * With ACL_INSERT, the events table is locked until the end of the transaction, as by an
 * INSERT.
 */
extern SierraStore *sierra_store_open(AclMode rights);

/*
 * The same with ACL_INSERT, but the lock also keeps out all other appends to the store, and
 * waits for the transactions that have appended to it.
 */
extern SierraStore *sierra_store_open_alone(void);

/* The same as sierra_store_open() for the store of this name. */
extern SierraStore *sierra_store_open_named(const char *store_name, AclMode rights);

/*
 * Does this session know that there is a store of this name?  That needs no lock and no right.  If
 * not, there may be one all the same.
 */
extern bool sierra_store_is_kept(const char *store_name);

/*
 * Each read calls this before it opens a partition.  Statements that change the events
 * table and all partitions lock the events table first, so a transaction that reads twice
 * must have it locked too: otherwise such a statement and the second read wait for each
 * other.  The lock is released where that of the partition is: at the end of the
 * transaction, or by sierra_store_unlock().
 */
extern void sierra_store_lock(const SierraStore *store);
extern void sierra_store_unlock(const SierraStore *store);

/* The table of this name, which every store has; raises SE005 if this one has lost it. */
extern Oid sierra_store_table(const SierraStore *store, const char *table);

/* Raises SE005: the store does not exist, or has been dropped meanwhile. */
extern void sierra_store_report_missing(const char *name);

/* Does row-level security of the events table hold for the current user? */
extern bool sierra_store_has_row_security(const SierraStore *store);

/*
 * Has this session already seen that the sequence of positions is not behind the
 * events?  See position.c.
 */
extern bool sierra_store_position_checked(const SierraStore *store);
extern void sierra_store_set_position_checked(const SierraStore *store);

/*
 * Counts the changes to relations that this session has heard of since it opened its first
 * store: while it stays the same, what is known about a table that is locked stays true.
 */
extern uint64 sierra_store_relation_changes(void);

#endif /* SIERRA_STORE_H */
