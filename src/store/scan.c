/*
 * scan.c
 *		Index scans over the tables of a store.
 *
 * OIDs of indexes are never kept, because REINDEX CONCURRENTLY replaces indexes.
 * Each scan reads the list of indexes of the relation, which cannot change while the
 * relation is locked.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/text.h"
#include "store/event.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

Relation
sierra_scan_open_partition(const SierraStore *store, int partition, LOCKMODE lock)
{
	Relation rel = try_relation_open(store->leaf[partition], lock);

	if (rel == NULL)
		sierra_store_report_missing(NameStr(store->name));
	if (!rel->rd_rel->relispartition)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("partition %d of event store \"%s\" is detached", partition,
					   NameStr(store->name)),
				errhint("Attach it again; streams of this partition are nowhere else."));
	return rel;
}

bool
sierra_scan_is_index(Relation index, SierraIndex kind)
{
	Form_pg_index form = index->rd_index;
	AttrNumber first = form->indkey.values[0];

	if (!form->indisvalid || !form->indisunique || !form->indimmediate ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		/* With another order or collation, a backward scan would not find the newest row. */
		if (index->rd_indoption[i] != 0 ||
			(OidIsValid(index->rd_indcollation[i]) && index->rd_indcollation[i] != C_COLLATION_OID))
			return false;
	}
	switch (kind)
	{
		case SIERRA_INDEX_SEQUENCE:
			return form->indnkeyatts == 1 && first == Anum_events_partition_sequence;
		case SIERRA_INDEX_STREAM:
			return form->indnkeyatts == 2 && first == Anum_events_stream_id &&
				   form->indkey.values[1] == Anum_events_stream_version;
		case SIERRA_INDEX_EVENT_ID:
			return form->indnkeyatts == 1 && first == Anum_events_event_id;
	}
	return false;
}

Relation
sierra_scan_open_primary_key(Relation relation)
{
	list_free(RelationGetIndexList(relation));
	if (!OidIsValid(relation->rd_pkindex))
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("table \"%s\" has lost its primary key", RelationGetRelationName(relation)),
				errhint("Create it again: it keeps the numbers of the event store gapless."));
	return index_open(relation->rd_pkindex, AccessShareLock);
}

Relation
sierra_scan_open_index(Relation rel, SierraIndex kind)
{
	List *indexes;
	ListCell *cell;

	if (kind == SIERRA_INDEX_SEQUENCE)
		return sierra_scan_open_primary_key(rel);

	indexes = RelationGetIndexList(rel);
	foreach (cell, indexes)
	{
		Relation index;

		if (lfirst_oid(cell) == rel->rd_pkindex)
			continue;
		index = index_open(lfirst_oid(cell), AccessShareLock);
		if (sierra_scan_is_index(index, kind))
		{
			list_free(indexes);
			return index;
		}
		index_close(index, AccessShareLock);
	}
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
			errmsg("table \"%s\" has lost its unique index on %s", RelationGetRelationName(rel),
				   kind == SIERRA_INDEX_STREAM ? "(stream_id, stream_version)" : "(event_id)"),
			errhint("Create it again: it keeps the numbers of the event store gapless."));
}

void
sierra_scan_begin(SierraScan *scan, Relation relation, Relation index, bool owns_index,
				  Snapshot snapshot, int nkeys)
{
	scan->index = index;
	scan->owns_index = owns_index;
	scan->nkeys = nkeys;
	scan->slot = table_slot_create(relation, NULL);
	scan->desc = sierra_compat_index_beginscan(relation, index, snapshot, nkeys);
}

void
sierra_scan_rescan(SierraScan *scan, ScanKey keys)
{
	index_rescan(scan->desc, keys, scan->nkeys, NULL, 0);
}

bool
sierra_scan_next(SierraScan *scan, ScanDirection direction)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(scan->desc, direction, scan->slot);
}

void
sierra_scan_end(SierraScan *scan)
{
	index_endscan(scan->desc);
	ExecDropSingleTupleTableSlot(scan->slot);
	if (scan->owns_index)
		index_close(scan->index, AccessShareLock);
}

bool
sierra_scan_newest(Relation rel, Relation sequence_index, Snapshot snapshot, int64 *sequence,
				   int64 *position)
{
	SierraScan scan;
	bool found;

	*sequence = *position = SIERRA_NONE;
	sierra_scan_begin(&scan, rel, sequence_index, false, snapshot, 0);
	sierra_scan_rescan(&scan, NULL);
	found = sierra_scan_next(&scan, BackwardScanDirection);
	if (found)
	{
		*sequence = sierra_slot_int8(scan.slot, Anum_events_partition_sequence);
		*position = sierra_slot_int8(scan.slot, Anum_events_global_position);
	}
	sierra_scan_end(&scan);
	return found;
}

void
sierra_scan_key_int8(ScanKey key, AttrNumber column, StrategyNumber strategy, int64 value)
{
	RegProcedure procedure = strategy == BTEqualStrategyNumber			? F_INT8EQ
							 : strategy == BTGreaterEqualStrategyNumber ? F_INT8GE
																		: F_INT8LE;

	Assert(strategy == BTEqualStrategyNumber || strategy == BTGreaterEqualStrategyNumber ||
		   strategy == BTLessEqualStrategyNumber);
	ScanKeyInit(key, column, strategy, procedure, Int64GetDatum(value));
}

void
sierra_scan_key_text(ScanKey key, AttrNumber column, const text *value)
{
	ScanKeyEntryInitialize(key, 0, column, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(value));
}

void
sierra_scan_key_uuid(ScanKey key, AttrNumber column, const pg_uuid_t *value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(value));
}

int64
sierra_slot_int8(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	if (isnull)
		elog(ERROR, "column %d of an event is null", column);
	return DatumGetInt64(value);
}

const pg_uuid_t *
sierra_slot_uuid(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	if (isnull)
		elog(ERROR, "column %d of an event is null", column);
	return DatumGetUUIDP(value);
}

bool
sierra_slot_text_equal(TupleTableSlot *slot, AttrNumber column, const text *value)
{
	bool isnull;
	text *stored = DatumGetTextPP(slot_getattr(slot, column, &isnull));

	return sierra_text_equal(stored, value);
}
