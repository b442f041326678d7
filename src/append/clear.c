/*
 * clear.c
 *		Empties the event tables of a store.
 *
 * TRUNCATE makes new files for six relations of each partition, and flushes those of
 * indexes to the disk, which takes longer than a test.  So the rows of small tables are
 * deleted, and only large tables get new files.  All tables of a store are treated alike: a
 * transaction whose snapshot is older finds all events or none, but not those of some partitions
 *only.
 *
 * What sessions know about a store stays true.  They keep no numbers of events, and appends
 * look for the newest rows each time, under a lock that is not free while a store is cleared.
 * New files, also that of the sequence of positions, invalidate what is known about the
 * tables, and all of this is undone if the transaction is rolled back.
 *
 * No trigger fires: the guards would refuse it, and what a trigger would do for each row is
 * not what a store without events needs.  A foreign key to a table prevents it, as it
 * prevents TRUNCATE.
 */
#include "postgres.h"

#include "append/clear.h"
#include "base/compat.h"
#include "store/event.h"
#include "store/scan.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "commands/sequence.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* If the event tables of a store have more pages than this, they get new files. */
#define DELETE_BLOCKS_MAX 4096

/* The number of events in a partition: sequences have no gaps. */
static int64
count_in(Relation rel)
{
	Relation index = sierra_scan_open_index(rel, SIERRA_INDEX_SEQUENCE);
	int64 sequence;
	int64 position;

	(void) sierra_scan_newest(rel, index, SnapshotSelf, &sequence, &position);
	index_close(index, AccessShareLock);
	return sequence + 1;
}

int64
sierra_clear_count(const SierraStore *store)
{
	int64 count = 0;

	sierra_store_lock(store);
	for (int i = 0; i < store->partitions; i++)
	{
		Relation rel = sierra_scan_open_partition(store, i, AccessShareLock);

		count += count_in(rel);
		relation_close(rel, AccessShareLock);
	}
	sierra_store_unlock(store);
	return count;
}

static Relation
open_companion(const SierraStore *store, Oid relid, const SierraTableShape *shape)
{
	Relation rel = try_relation_open(relid, AccessExclusiveLock);

	if (rel == NULL)
		sierra_store_report_missing(NameStr(store->name));
	sierra_shape_check(rel, shape);
	return rel;
}

/* The tables that keep events: partitions, then companions. */
static List *
open_tables(const SierraStore *store)
{
	List *tables = NIL;

	for (int i = 0; i < store->partitions; i++)
		tables = lappend(tables, sierra_scan_open_partition(store, i, AccessExclusiveLock));
	tables = lappend(tables, open_companion(store, store->stream_keys, &sierra_stream_keys_shape));
	tables = lappend(tables, open_companion(store, store->event_ids, &sierra_event_ids_shape));
	return lappend(tables, open_companion(store, store->event_tags, &sierra_event_tags_shape));
}

/* Rows of users that refer to events would refer to nothing. */
static void
refuse_references(const SierraStore *store, List *tables)
{
	List *relids = NIL;
	List *others;
	ListCell *cell;

	foreach (cell, tables)
		relids = lappend_oid(relids, RelationGetRelid((Relation) lfirst(cell)));
	others = heap_truncate_find_FKs(relids);
	if (others == NIL)
		return;
	ereport(ERROR, errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			errmsg("cannot clear event store \"%s\" because other tables refer to it",
				   NameStr(store->name)),
			errdetail("Table \"%s\" has a foreign key to a table of the store.",
					  get_rel_name(linitial_oid(others))),
			errhint("Drop the foreign key, and create it again afterwards."));
}

/* Raises an error if this session is using a table. */
static void
check_unused(const SierraStore *store, List *tables)
{
	Relation events = table_open(store->events, NoLock);
	ListCell *cell;

	CheckTableNotInUse(events, "clear");
	table_close(events, NoLock);
	foreach (cell, tables)
		CheckTableNotInUse(lfirst(cell), "clear");
}

static BlockNumber
blocks_of(Relation rel)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation toast = table_open(rel->rd_rel->reltoastrelid, AccessExclusiveLock);

		blocks += RelationGetNumberOfBlocks(toast);
		table_close(toast, NoLock);
	}
	return blocks;
}

static void
delete_rows(Relation rel)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		simple_table_tuple_delete(rel, &slot->tts_tid, snapshot);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
}

/* As TRUNCATE does it. */
static void
give_new_files(Relation rel)
{
	sierra_compat_set_new_file(rel);
	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation toast = table_open(rel->rd_rel->reltoastrelid, AccessExclusiveLock);

		sierra_compat_set_new_file(toast);
		table_close(toast, NoLock);
	}
	sierra_compat_reindex_relation(RelationGetRelid(rel), REINDEX_REL_PROCESS_TOAST);
	pgstat_count_truncate(rel);
}

/* The sequence of positions, with a new file, so that its start is undone by a rollback. */
static void
restart_positions(const SierraStore *store)
{
	Relation rel = try_relation_open(store->global_position, AccessExclusiveLock);

	if (rel == NULL || rel->rd_rel->relkind != RELKIND_SEQUENCE)
		sierra_store_report_missing(NameStr(store->name));
	CheckTableNotInUse(rel, "clear");
	relation_close(rel, NoLock);
	ResetSequence(store->global_position);
}

int64
sierra_clear_events(const SierraStore *store)
{
	List *tables = open_tables(store);
	int64 count = 0;
	uint64 blocks = 0;
	ListCell *cell;

	check_unused(store, tables);
	refuse_references(store, tables);
	/* The statement that calls this may have appended. */
	CommandCounterIncrement();
	for (int i = 0; i < store->partitions; i++)
		count += count_in(list_nth(tables, i));
	foreach (cell, tables)
		blocks += blocks_of(lfirst(cell));
	foreach (cell, tables)
	{
		Relation rel = lfirst(cell);

		if (RelationGetNumberOfBlocks(rel) > 0 && blocks > DELETE_BLOCKS_MAX)
			give_new_files(rel);
		else if (RelationGetNumberOfBlocks(rel) > 0)
			delete_rows(rel);
		table_close(rel, NoLock);
	}
	restart_positions(store);
	CommandCounterIncrement();
	return count;
}
