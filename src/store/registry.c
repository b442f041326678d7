/*
 * registry.c
 *		The companion tables stream_keys, event_ids and event_tags.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/routing.h"
#include "store/direct_insert.h"
#include "store/event.h"
#include "store/event_tags.h"
#include "store/registry.h"
#include "store/scan.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of stream_keys and event_ids: the key, and the value that is kept for it. */
#define ANUM_KEY 1
#define ANUM_VALUE 2

/*
 * A table that this session has found to be plain: a row needs an entry in the index of the
 * shape, and nothing else.  So the index need not be prepared for the executor by each append.
 */
typedef struct PlainTable
{
	Oid relid;
	Oid index;
	uint64 changes; /* sierra_store_relation_changes() when it was found */
} PlainTable;

static PlainTable plain_keys;
static PlainTable plain_ids;
static PlainTable plain_tags;

/* Opens a companion table; SE005 if it was dropped or altered since the store was looked up. */
static Relation
open_companion(const SierraStore *store, Oid relid, const SierraTableShape *shape, LOCKMODE lock)
{
	Relation rel = try_relation_open(relid, lock);

	if (rel == NULL)
		sierra_store_report_missing(NameStr(store->name));
	sierra_shape_check(rel, shape);
	return rel;
}

/*
 * In most stores stream_keys is empty, and in many event_ids.  Then a search would be wasted.
 * The file has its current size at any time: a transaction that wrote a row had to extend the
 * file before.
 */
static bool
is_empty(Relation rel)
{
	/* Under SERIALIZABLE the scan is needed for its predicate lock, even if it finds nothing. */
	return !IsolationIsSerializable() && RelationGetNumberOfBlocks(rel) == 0;
}

static void
begin(const SierraStore *store, Oid relid, const SierraTableShape *shape, Snapshot snapshot,
	  SierraRegistryLookup *lookup)
{
	lookup->store = store;
	lookup->active = true;
	lookup->rel = open_companion(store, relid, shape, AccessShareLock);
	lookup->empty = is_empty(lookup->rel);
	if (lookup->empty)
		table_close(lookup->rel, AccessShareLock);
	else
		sierra_scan_begin(&lookup->scan, lookup->rel,
						  sierra_shape_open_index(lookup->rel, shape, 0), true, snapshot, 1);
}

void
sierra_registry_begin_keys(const SierraStore *store, Snapshot snapshot,
						   SierraRegistryLookup *lookup)
{
	begin(store, store->stream_keys, &sierra_stream_keys_shape, snapshot, lookup);
}

static void
begin_ids(const SierraStore *store, Snapshot snapshot, SierraRegistryLookup *lookup)
{
	begin(store, store->event_ids, &sierra_event_ids_shape, snapshot, lookup);
}

void
sierra_registry_begin_ids(const SierraStore *store, SierraRegistryLookup *lookup)
{
	InitDirtySnapshot(lookup->dirty);
	begin_ids(store, &lookup->dirty, lookup);
}

void
sierra_registry_end(SierraRegistryLookup *lookup)
{
	if (lookup->active && !lookup->empty)
	{
		sierra_scan_end(&lookup->scan);
		table_close(lookup->rel, AccessShareLock);
	}
	lookup->active = false;
}

bool
sierra_registry_find_key(SierraRegistryLookup *lookup, const text *stream_id, pg_uuid_t *key)
{
	ScanKeyData scan_key;

	if (lookup->empty)
		return false;
	sierra_scan_key_text(&scan_key, ANUM_KEY, stream_id);
	sierra_scan_rescan(&lookup->scan, &scan_key);
	if (!sierra_scan_next(&lookup->scan, ForwardScanDirection))
		return false;
	*key = *sierra_slot_uuid(lookup->scan.slot, ANUM_VALUE);
	return true;
}

/* The partition in the row that was found. */
static int
read_partition(const SierraRegistryLookup *lookup, const pg_uuid_t *event_id)
{
	const SierraStore *store = lookup->store;
	int32 partition = sierra_slot_int4(lookup->scan.slot, ANUM_VALUE);

	if (partition < 0 || partition >= store->partitions)
		ereport(
			ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("table \"event_ids\" of event store \"%s\" is damaged", NameStr(store->name)),
			errdetail("Event id %s is registered for partition %d; the store has partitions 0 "
					  "to %d.",
					  sierra_uuid_text(event_id), partition, store->partitions - 1),
			errhint("Correct the row; everify() shows what else is wrong."));
	return partition;
}

bool
sierra_registry_has_id(SierraRegistryLookup *lookup, const pg_uuid_t *event_id)
{
	ScanKeyData scan_key;

	sierra_scan_key_uuid(&scan_key, ANUM_KEY, event_id);
	if (lookup->empty || !sierra_scan_find_settled(&lookup->scan, &lookup->dirty, &scan_key))
		return false;
	(void) read_partition(lookup, event_id);
	return true;
}

bool
sierra_registry_key_of(const SierraStore *store, const text *stream_id, Snapshot snapshot,
					   pg_uuid_t *key)
{
	SierraRegistryLookup lookup;
	bool found;

	sierra_registry_begin_keys(store, snapshot, &lookup);
	found = sierra_registry_find_key(&lookup, stream_id, key);
	sierra_registry_end(&lookup);
	return found;
}

int
sierra_registry_partition_of(const SierraStore *store, const pg_uuid_t *event_id, Snapshot snapshot)
{
	SierraRegistryLookup lookup;
	ScanKeyData scan_key;
	int partition = -1;

	begin_ids(store, snapshot, &lookup);
	if (lookup.empty)
		return -1;
	sierra_scan_key_uuid(&scan_key, ANUM_KEY, event_id);
	sierra_scan_rescan(&lookup.scan, &scan_key);
	if (sierra_scan_next(&lookup.scan, ForwardScanDirection))
		partition = read_partition(&lookup, event_id);
	sierra_registry_end(&lookup);
	return partition;
}

Relation
sierra_registry_open_tags_index(const SierraStore *store, Relation *index)
{
	Relation rel =
		open_companion(store, store->event_tags, &sierra_event_tags_shape, AccessShareLock);

	*index = sierra_shape_open_index(rel, &sierra_event_tags_shape, 0);
	return rel;
}

/* Does the table do nothing for a new row but store it, which has only values that it allows? */
static bool
is_plain(const SierraRegistryWriter *writer)
{
	const TupleDesc desc = RelationGetDescr(writer->rel);
	const TriggerDesc *triggers = writer->rel->trigdesc;

	return writer->result->ri_NumIndices == 1 && desc->natts == writer->shape->column_count &&
		   (triggers == NULL || !triggers->trig_insert_after_row) &&
		   (desc->constr == NULL || desc->constr->num_check == 0) &&
		   sierra_shape_is_index(writer->result->ri_IndexRelationDescs[0],
								 &writer->shape->indexes[0]);
}

/* Raises SE005 unless the index is there that makes the rows unique. */
static void
check_index(const SierraRegistryWriter *writer)
{
	const ResultRelInfo *result = writer->result;

	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		if (sierra_shape_is_index(result->ri_IndexRelationDescs[i], &writer->shape->indexes[0]))
			return;
	}
	sierra_shape_report_index(writer->rel, writer->shape, 0);
}

/* The lock on the table keeps its index from being dropped. */
static void
open_writer(const SierraStore *store, Oid relid, const SierraTableShape *shape, PlainTable *plain,
			EState *estate, SierraRegistryWriter *writer)
{
	uint64 changes;

	writer->estate = estate;
	writer->shape = shape;
	writer->rel = open_companion(store, relid, shape, RowExclusiveLock);
	writer->result = NULL;
	writer->index = NULL;
	writer->slot = table_slot_create(writer->rel, NULL);
	changes = sierra_store_relation_changes();
	if (plain->relid == relid && plain->changes == changes)
	{
		writer->index = index_open(plain->index, RowExclusiveLock);
		return;
	}
	writer->result = sierra_direct_insert_open(writer->rel);
	check_index(writer);
	if (is_plain(writer))
		*plain = (PlainTable){relid, RelationGetRelid(writer->result->ri_IndexRelationDescs[0]),
							  changes};
}

void
sierra_registry_open_keys(const SierraStore *store, EState *estate, SierraRegistryWriter *writer)
{
	open_writer(store, store->stream_keys, &sierra_stream_keys_shape, &plain_keys, estate, writer);
}

void
sierra_registry_open_ids(const SierraStore *store, EState *estate, SierraRegistryWriter *writer)
{
	open_writer(store, store->event_ids, &sierra_event_ids_shape, &plain_ids, estate, writer);
}

void
sierra_registry_open_tags(const SierraStore *store, EState *estate, SierraRegistryWriter *writer)
{
	open_writer(store, store->event_tags, &sierra_event_tags_shape, &plain_tags, estate, writer);
}

void
sierra_registry_close(SierraRegistryWriter *writer)
{
	if (writer->rel == NULL)
		return;
	ExecDropSingleTupleTableSlot(writer->slot);
	if (writer->result != NULL)
		ExecCloseIndices(writer->result);
	else
		index_close(writer->index, RowExclusiveLock);
	table_close(writer->rel, NoLock);
	writer->rel = NULL;
}

/* Makes the index entry of a row of a plain table. */
static void
add_entry(SierraRegistryWriter *writer, const Datum *values)
{
	static bool nulls[SIERRA_INDEX_COLUMNS_MAX] = {false};
	const SierraIndexShape *index = &writer->shape->indexes[0];
	Datum columns[SIERRA_INDEX_COLUMNS_MAX];
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer->estate));

	for (int i = 0; i < index->count; i++)
		columns[i] = values[index->columns[i] - 1];
	index_insert(writer->index, columns, nulls, &writer->slot->tts_tid, writer->rel,
				 UNIQUE_CHECK_YES, false, NULL);
	MemoryContextSwitchTo(caller);
	ResetPerTupleExprContext(writer->estate);
}

/*
 * Writes one row; returns when its index entries are there.  What that
 * allocates is freed by sierra_direct_insert_finish() or add_entry().
 */
static void
insert_row(SierraRegistryWriter *writer, const Datum *values, int count)
{
	TupleTableSlot *slot = writer->slot;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer->estate));

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * count);
	memset(slot->tts_isnull, false, sizeof(bool) * count);
	ExecStoreVirtualTuple(slot);
	if (writer->result != NULL && RelationGetDescr(writer->rel)->constr != NULL)
		ExecConstraints(writer->result, slot, writer->estate);
	table_tuple_insert(writer->rel, slot, GetCurrentCommandId(true), 0, NULL);
	MemoryContextSwitchTo(caller);
	if (writer->result != NULL)
		sierra_direct_insert_finish(writer->result, slot, writer->estate);
	else
		add_entry(writer, values);
}

void
sierra_registry_add_key(SierraRegistryWriter *writer, const text *stream_id, const pg_uuid_t *key)
{
	Datum values[Natts_companion] = {PointerGetDatum(stream_id), UUIDPGetDatum(key)};

	insert_row(writer, values, Natts_companion);
}

void
sierra_registry_report_taken(const pg_uuid_t *event_id)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_DUPLICATE_EVENT),
			errmsg("duplicate event id %s", sierra_uuid_text(event_id)),
			errdetail("Another session has just appended an event with this id."),
			errhint("Generate a new id for each new event; repeat an append only to the "
					"same stream."));
}

/*
 * The append has looked for the id before.  So a unique violation here means that
 * another session added the id in between, with an event of another partition.
 */
void
sierra_registry_add_id(SierraRegistryWriter *writer, const pg_uuid_t *event_id, int partition)
{
	MemoryContext context = CurrentMemoryContext;
	Datum values[Natts_companion] = {UUIDPGetDatum(event_id), Int32GetDatum(partition)};

	PG_TRY();
	{
		insert_row(writer, values, Natts_companion);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		sierra_registry_report_taken(event_id);
	}
	PG_END_TRY();
}

void
sierra_registry_add_tags(SierraRegistryWriter *writer, ArrayType *tags, int64 position,
						 int partition, int64 sequence)
{
	Datum values[Natts_event_tags];
	SierraTags apart;

	values[Anum_event_tags_position - 1] = Int64GetDatum(position);
	values[Anum_event_tags_partition - 1] = Int32GetDatum(partition);
	values[Anum_event_tags_sequence - 1] = Int64GetDatum(sequence);
	sierra_tags_take_apart(tags, &apart);
	for (int i = 0; i < apart.count; i++)
	{
		values[Anum_event_tags_tag - 1] = apart.items[i];
		insert_row(writer, values, Natts_event_tags);
	}
}
