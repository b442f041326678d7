/*
 * sequence_search.c
 *		Fetches many events of a partition by their sequences.
 *
 * An index scan for each event would prepare its keys each time, descend from the root,
 * and copy all entries of a page that could follow.  This search reads the entry directly.
 * It keeps a copy of the page above the leaf pages, which leads to hundreds of them, so
 * that it usually reads only the leaf page.
 *
 * A copy can be old: pages have been split, or reused, since.  But an entry with the
 * sequence on a leaf page is an entry with this sequence, however it was found.  If there
 * is none, a descent finds it; if the snapshot does not see its row, an index scan finds
 * out whether there is another one, as after an append that was rolled back.
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/scan.h"
#include "store/sequence_search.h"

#include "access/nbtree.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

void
sierra_sequence_search_begin(SierraSequenceSearch *search, Relation rel, Relation index,
							 Snapshot snapshot)
{
	Datum value = Int64GetDatum(0);
	bool isnull = false;
	IndexTuple entry = index_form_tuple(RelationGetDescr(index), &value, &isnull);

	*search = (SierraSequenceSearch){.rel = rel,
									 .index = index,
									 .snapshot = snapshot,
									 .slot = table_slot_create(rel, NULL),
									 .key = _bt_mkscankey(index, entry)};
	search->key->scantid = NULL;
	pfree(entry);
}

void
sierra_sequence_search_end(SierraSequenceSearch *search)
{
	ExecDropSingleTupleTableSlot(search->slot);
	pfree(search->key);
	if (search->copy != NULL)
		pfree(search->copy);
}

static IndexTuple
entry_at(Page page, OffsetNumber at)
{
	return (IndexTuple) PageGetItem(page, PageGetItemId(page, at));
}

/* The sequence of an entry.  The index has one column, which cannot be null. */
static int64
sequence_of(IndexTuple entry)
{
	return *(const int64 *) ((const char *) entry + sizeof(IndexTupleData));
}

/*
 * The first place of a page, from this one on, whose entry has this sequence or a higher one.
 * Sequences have no gaps, so the entries are at equal distances, and a guess is mostly right.
 * A search that halves the range each time would miss the caches of the processor each time.
 */
static OffsetNumber
find_place(Page page, OffsetNumber first, int64 distance, int64 sequence)
{
	OffsetNumber low = first;
	OffsetNumber high = OffsetNumberNext(PageGetMaxOffsetNumber(page));
	int64 guess =
		low < high ? low + (sequence - sequence_of(entry_at(page, low))) / distance : high;

	for (int probe = 0; low < high; probe++)
	{
		bool guessed = probe < 2 && guess >= low && guess < high;
		OffsetNumber middle = guessed ? guess : low + (high - low) / 2;

		if (sequence_of(entry_at(page, middle)) < sequence)
		{
			low = middle + 1;
			guess = low;
		}
		else
		{
			high = middle;
			guess = (int64) middle - 1;
		}
	}
	return low;
}

/* The page that the copy leads to.  The first entry of an inner page has no sequence. */
static BlockNumber
find_leaf(Page page, int64 sequence)
{
	OffsetNumber first = OffsetNumberNext(P_FIRSTDATAKEY(BTPageGetOpaque(page)));
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	int64 distance = 1;
	OffsetNumber at;

	if (first < last)
		distance = sequence_of(entry_at(page, first + 1)) - sequence_of(entry_at(page, first));
	at = find_place(page, first, Max(distance, 1), sequence);
	if (at > last || sequence_of(entry_at(page, at)) > sequence)
		at = OffsetNumberPrev(at);
	return BTreeTupleGetDownLink(entry_at(page, at));
}

typedef enum Found
{
	NO_ENTRY,
	NO_ROW, /* the snapshot does not see that of the first entry */
	ROW
} Found;

/*
 * Looks for the sequence on a page, which is locked, and releases it.  The page stays
 * pinned while the row is read, so that VACUUM cannot remove the row and reuse its place.
 */
static Found
look_on_page(SierraSequenceSearch *search, Buffer buffer, int64 sequence)
{
	Page page = BufferGetPage(buffer);
	BTPageOpaque opaque = BTPageGetOpaque(page);
	Found found = NO_ENTRY;
	OffsetNumber at;

	if (!P_ISLEAF(opaque) || P_IGNORE(opaque))
	{
		UnlockReleaseBuffer(buffer);
		return NO_ENTRY;
	}
	at = find_place(page, P_FIRSTDATAKEY(opaque), 1, sequence);
	if (at > PageGetMaxOffsetNumber(page) || sequence_of(entry_at(page, at)) != sequence)
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	else
	{
		IndexTuple entry = entry_at(page, at);
		bool single = !BTreeTupleIsPosting(entry);
		ItemPointerData row = entry->t_tid;

		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		found = single && table_tuple_fetch_row_version(search->rel, &row, search->snapshot,
														search->slot)
					? ROW
					: NO_ROW;
	}
	ReleaseBuffer(buffer);
	return found;
}

/* Copies the page above the leaf page that a descent has found. */
static void
keep_parent(SierraSequenceSearch *search, BTStack stack)
{
	Buffer buffer;
	BTPageOpaque opaque;

	search->has_copy = false;
	if (stack == NULL)
		return;
	buffer = _bt_getbuf(search->index, stack->bts_blkno, BT_READ);
	opaque = BTPageGetOpaque(BufferGetPage(buffer));
	if (!P_IGNORE(opaque) && opaque->btpo_level == 1)
	{
		if (search->copy == NULL)
			search->copy = palloc(BLCKSZ);
		memcpy(search->copy, BufferGetPage(buffer), BLCKSZ);
		search->has_copy = true;
	}
	UnlockReleaseBuffer(buffer);
}

/* Descends from the root. */
static Found
descend(SierraSequenceSearch *search, int64 sequence)
{
	Found found;
	Buffer buffer;
	BTStack stack;

	search->key->scankeys[0].sk_argument = Int64GetDatum(sequence);
	stack = sierra_compat_index_search(search->rel, search->index, search->key, &buffer);
	found = BufferIsValid(buffer) ? look_on_page(search, buffer, sequence) : NO_ENTRY;
	keep_parent(search, stack);
	_bt_freestack(stack);
	return found;
}

/* Finds the row by an index scan, which passes entries of rows that the snapshot does not see. */
static bool
scan_rows(SierraSequenceSearch *search, int64 sequence)
{
	SierraScan scan;
	ScanKeyData key;
	bool found;

	sierra_scan_begin(&scan, search->rel, search->index, false, search->snapshot, 1);
	sierra_scan_key_int8(&key, 1, BTEqualStrategyNumber, sequence);
	sierra_scan_rescan(&scan, &key);
	found = sierra_scan_next(&scan, ForwardScanDirection);
	/* A later fetch that finds nothing can spoil the slot of the scan, so copy it now. */
	if (found)
		ExecCopySlot(search->slot, scan.slot);
	sierra_scan_end(&scan);
	return found;
}

bool
sierra_sequence_search_fetch(SierraSequenceSearch *search, int64 sequence)
{
	Found found = NO_ENTRY;

	CHECK_FOR_INTERRUPTS();
	ExecClearTuple(search->slot);
	if (search->has_copy)
		found = look_on_page(search,
							 _bt_getbuf(search->index, find_leaf(search->copy, sequence), BT_READ),
							 sequence);
	if (found == NO_ENTRY)
		found = descend(search, sequence);
	return found == ROW || scan_rows(search, sequence);
}
