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
#include "store/event_tags.h"
#include "store/scan.h"
#include "store/table_shape.h"

#include "access/nbtree.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Columns of an index before the number that sierra_scan_last() looks for. */
#define PREFIX_MAX 1

Relation
sierra_scan_open_partition(const SierraStore *store, int partition, LOCKMODE lock)
{
	Relation rel = try_relation_open(store->partition_oids[partition], lock);

	if (rel == NULL)
		sierra_store_report_missing(NameStr(store->name));
	if (!rel->rd_rel->relispartition)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("partition %d of event store \"%s\" is detached", partition,
					   NameStr(store->name)),
				errhint("Attach it again; streams of this partition are nowhere else."));
	sierra_shape_check(rel, &sierra_partition_shape);
	return rel;
}

Relation
sierra_scan_open_index(Relation rel, SierraIndex kind)
{
	return sierra_shape_open_index(rel, &sierra_partition_shape, kind);
}

void
sierra_scan_begin(SierraScan *scan, Relation relation, Relation index, bool owns_index,
				  Snapshot snapshot, int nkeys)
{
	scan->rel = relation;
	scan->index = index;
	scan->owns_index = owns_index;
	scan->snapshot = snapshot;
	scan->nkeys = nkeys;
	scan->slot = table_slot_create(relation, NULL);
	scan->desc = NULL;
}

static void
begin_desc(SierraScan *scan)
{
	if (scan->desc == NULL)
		scan->desc =
			sierra_compat_index_beginscan(scan->rel, scan->index, scan->snapshot, scan->nkeys);
}

void
sierra_scan_rescan(SierraScan *scan, ScanKey keys)
{
	begin_desc(scan);
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
	if (scan->desc != NULL)
		index_endscan(scan->desc);
	ExecDropSingleTupleTableSlot(scan->slot);
	if (scan->owns_index)
		index_close(scan->index, AccessShareLock);
}

/*
 * Moves to the last index entry for these keys, also if it is marked as dead: if its row
 * is not to be seen, many before it may not be either.  False if there is none.
 */
static bool
move_to_end(SierraScan *scan, ScanKey keys, bool with_entry)
{
	CHECK_FOR_INTERRUPTS();
	begin_desc(scan);
	scan->desc->xs_want_itup = with_entry;
	scan->desc->ignore_killed_tuples = false;
	sierra_scan_rescan(scan, keys);
	return index_getnext_tid(scan->desc, BackwardScanDirection) != NULL;
}

/*
 * The highest number in the index column after the prefix, also of a row that the
 * snapshot does not see.  False if there is no index entry.
 */
static bool
highest_number(SierraScan *scan, ScanKey prefix, int64 *number)
{
	IndexScanDesc desc = scan->desc;
	bool isnull;
	Datum value;

	if (!move_to_end(scan, prefix, true))
		return false;
	value = index_getattr(desc->xs_itup, scan->nkeys + 1, desc->xs_itupdesc, &isnull);
	*number = isnull ? PG_INT64_MAX : DatumGetInt64(value);
	return true;
}

/* Copies the row with this number into a slot, if the snapshot sees it. */
static bool
fetch_number(SierraScan *scan, ScanKey keys, int64 number, TupleTableSlot *slot)
{
	bool found;

	sierra_scan_key_int8(&keys[scan->nkeys - 1], scan->nkeys, BTEqualStrategyNumber, number);
	sierra_scan_rescan(scan, keys);
	found = sierra_scan_next(scan, ForwardScanDirection);

	/* A later fetch that finds nothing can spoil the slot of the scan, so copy it now. */
	if (found)
		ExecCopySlot(slot, scan->slot);
	return found;
}

/*
 * Searches the highest number, up to this one, of a row that the snapshot sees.  It
 * sees all numbers up to some number, so steps that grow lead back to a row that it
 * sees; from there on, bisect.  The last row that is found is the one.  The highest
 * number itself may be seen: a number that was rolled back is given again, and the
 * index can have the entry of the row that was rolled back behind that of the other.
 */
static bool
search_last(SierraScan *scan, ScanKey prefix, int64 highest)
{
	int64 unseen = highest == PG_INT64_MAX ? highest : highest + 1;
	SierraScan probe;
	ScanKeyData keys[PREFIX_MAX + 1];
	int64 seen = SIERRA_NONE;

	for (int i = 0; i < scan->nkeys; i++)
		keys[i] = prefix[i];
	sierra_scan_begin(&probe, scan->rel, scan->index, false, scan->snapshot, scan->nkeys + 1);
	for (int64 step = 1; seen == SIERRA_NONE && unseen > 0; step = Min(step, PG_INT64_MAX / 8) * 8)
	{
		int64 number = Max(unseen - step, 0);

		if (fetch_number(&probe, keys, number, scan->slot))
			seen = number;
		else
			unseen = number;
	}
	while (unseen - seen > 1)
	{
		int64 middle = seen + (unseen - seen) / 2;

		if (fetch_number(&probe, keys, middle, scan->slot))
			seen = middle;
		else
			unseen = middle;
	}
	sierra_scan_end(&probe);
	return seen != SIERRA_NONE;
}

/*
 * A scan from the end would do, but a large append that was rolled back leaves index
 * entries there, and each scan would pass all of them until the next VACUUM.  Under
 * SERIALIZABLE a reader has to pass them, to find out with whom it is in conflict.
 */
bool
sierra_scan_last(SierraScan *scan, ScanKey prefix)
{
	int64 number;

	Assert(scan->nkeys <= PREFIX_MAX);
	if (IsolationIsSerializable() && IsMVCCSnapshot(scan->snapshot))
	{
		sierra_scan_rescan(scan, prefix);
		return sierra_scan_next(scan, BackwardScanDirection);
	}
	/* The row at the end is nearly always the one.  An entry with its value costs more. */
	if (!move_to_end(scan, prefix, false))
		return false;
	return index_fetch_heap(scan->desc, scan->slot) ||
		   (highest_number(scan, prefix, &number) && search_last(scan, prefix, number));
}

bool
sierra_scan_find_settled(SierraScan *scan, Snapshot dirty, ScanKey key)
{
	for (;;)
	{
		sierra_scan_rescan(scan, key);
		if (!sierra_scan_next(scan, ForwardScanDirection))
			return false;
		if (!TransactionIdIsValid(dirty->xmin))
			return true;
		/* Release the pages: VACUUM must not wait for the transaction too. */
		ExecClearTuple(scan->slot);
		sierra_scan_rescan(scan, key);
		XactLockTableWait(dirty->xmin, NULL, NULL, XLTW_None);
	}
}

static void
get_numbers(const SierraScan *scan, int64 *sequence, int64 *position)
{
	*sequence = sierra_event_sequence(scan->slot);
	*position = sierra_event_position(scan->slot);
}

bool
sierra_scan_newest(Relation rel, Relation sequence_index, Snapshot snapshot, int64 *sequence,
				   int64 *position)
{
	SierraScan scan;
	bool found;

	*sequence = *position = SIERRA_NONE;
	sierra_scan_begin(&scan, rel, sequence_index, false, snapshot, 0);
	found = sierra_scan_last(&scan, NULL);
	if (found)
		get_numbers(&scan, sequence, position);
	sierra_scan_end(&scan);
	return found;
}

/*
 * Searches that read an entry of the index directly.  An index scan would find the same
 * entry, but it copies all entries of a page that could follow first.
 */

/*
 * The row of an entry on a locked page.  The page stays pinned while the row is read, so
 * that VACUUM cannot remove the row and reuse its place.  An entry for several rows is of
 * numbers that were rolled back and given again.
 */
static bool
fetch_entry(Relation rel, Buffer buffer, IndexTuple entry, Snapshot snapshot, TupleTableSlot *slot)
{
	bool single = !BTreeTupleIsPosting(entry);
	ItemPointerData row = entry->t_tid;

	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	ExecClearTuple(slot);
	return single && table_tuple_fetch_row_version(rel, &row, snapshot, slot);
}

static IndexTuple
entry_at(Page page, OffsetNumber at)
{
	return (IndexTuple) PageGetItem(page, PageGetItemId(page, at));
}

bool
sierra_scan_fetch_end(Relation rel, Relation index, Snapshot snapshot, TupleTableSlot *slot)
{
	Buffer buffer = sierra_compat_last_index_page(index);
	bool found = false;
	OffsetNumber last;
	Page page;

	if (!BufferIsValid(buffer))
		return false;
	page = BufferGetPage(buffer);
	last = PageGetMaxOffsetNumber(page);
	if (last >= P_FIRSTDATAKEY(BTPageGetOpaque(page)))
		found = fetch_entry(rel, buffer, entry_at(page, last), snapshot, slot);
	else
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	ReleaseBuffer(buffer);
	return found;
}

/*
 * The page and place of the first entry that is not below the values of all columns; the page
 * is locked.  An invalid buffer if the index is empty.
 */
static OffsetNumber
find_beyond(Relation rel, Relation index, Datum *values, Buffer *buffer)
{
	bool nulls[INDEX_MAX_KEYS] = {false};
	IndexTuple beyond = index_form_tuple(RelationGetDescr(index), values, nulls);
	BTScanInsert key = _bt_mkscankey(index, beyond);
	BTInsertStateData place = {.itup = beyond, .itup_key = key};
	OffsetNumber at = InvalidOffsetNumber;

	key->scantid = NULL;
	_bt_freestack(sierra_compat_index_search(rel, index, key, buffer));
	place.buf = *buffer;
	if (BufferIsValid(*buffer))
		at = _bt_binsrch_insert(index, &place);
	pfree(key);
	pfree(beyond);
	return at;
}

/*
 * The last entry that is below the values of all columns; its page is locked, unless the index
 * is empty.  NULL if there is none on the page; *maybe: then there can be one on the page before.
 */
static IndexTuple
last_below(Relation rel, Relation index, Datum *values, Buffer *buffer, bool *maybe)
{
	OffsetNumber at = find_beyond(rel, index, values, buffer);
	BTPageOpaque opaque;

	*maybe = false;
	if (!BufferIsValid(*buffer))
		return NULL;
	opaque = BTPageGetOpaque(BufferGetPage(*buffer));
	if (at > P_FIRSTDATAKEY(opaque))
		return entry_at(BufferGetPage(*buffer), OffsetNumberPrev(at));
	*maybe = !P_LEFTMOST(opaque);
	return NULL;
}

static bool
is_entry_of(Relation index, IndexTuple entry, const text *first)
{
	bool isnull;
	Datum value = index_getattr(entry, 1, RelationGetDescr(index), &isnull);

	return !isnull && sierra_text_equal(DatumGetTextPP(value), first);
}

SierraFound
sierra_scan_newest_of_stream(Relation rel, Relation stream_index, const text *stream_id,
							 TupleTableSlot *slot)
{
	Datum values[] = {PointerGetDatum(stream_id), Int64GetDatum(PG_INT64_MAX)};
	Buffer buffer;
	bool maybe;
	IndexTuple entry = last_below(rel, stream_index, values, &buffer, &maybe);
	bool found;

	if (entry != NULL && is_entry_of(stream_index, entry, stream_id))
	{
		found = fetch_entry(rel, buffer, entry, SnapshotSelf, slot);
		ReleaseBuffer(buffer);
		return found ? SIERRA_FOUND : SIERRA_UNKNOWN;
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
	return maybe ? SIERRA_UNKNOWN : SIERRA_NOT_FOUND;
}

bool
sierra_scan_may_have_tag_after(Relation rel, Relation index, const text *tag, int64 after)
{
	Datum values[] = {PointerGetDatum(tag), Int64GetDatum(PG_INT64_MAX),
					  Int32GetDatum(PG_INT32_MAX), Int64GetDatum(PG_INT64_MAX)};
	Buffer buffer;
	bool maybe;
	IndexTuple entry = last_below(rel, index, values, &buffer, &maybe);

	if (entry != NULL && is_entry_of(index, entry, tag))
	{
		bool isnull;
		Datum position =
			index_getattr(entry, Anum_event_tags_position, RelationGetDescr(index), &isnull);

		maybe = isnull || DatumGetInt64(position) > after;
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
	return maybe;
}

void
sierra_scan_newest_locked(Relation rel, Relation sequence_index, TupleTableSlot *slot,
						  int64 *sequence, int64 *position)
{
	if (!sierra_scan_fetch_end(rel, sequence_index, SnapshotSelf, slot))
	{
		(void) sierra_scan_newest(rel, sequence_index, SnapshotSelf, sequence, position);
		return;
	}
	*sequence = sierra_event_sequence(slot);
	*position = sierra_event_position(slot);
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

/* The column is NOT NULL, but rows from before that can break it. */
static void
report_null(TupleTableSlot *slot, AttrNumber column)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE), errmsg("a row of the event store is damaged"),
			errdetail("Its column \"%s\" is null.",
					  NameStr(TupleDescAttr(slot->tts_tupleDescriptor, column - 1)->attname)),
			errhint("Restore the store from a dump; everify() shows what else is wrong."));
}

int64
sierra_slot_int8(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	if (isnull)
		report_null(slot, column);
	return DatumGetInt64(value);
}

int32
sierra_slot_int4(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	if (isnull)
		report_null(slot, column);
	return DatumGetInt32(value);
}

const pg_uuid_t *
sierra_slot_uuid(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	if (isnull)
		report_null(slot, column);
	return DatumGetUUIDP(value);
}

text *
sierra_slot_text(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	if (isnull)
		report_null(slot, column);
	return DatumGetTextPP(value);
}

bool
sierra_slot_text_equal(TupleTableSlot *slot, AttrNumber column, const text *value)
{
	return sierra_text_equal(sierra_slot_text(slot, column), value);
}
