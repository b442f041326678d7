/*
 * page_rows.c
 *		Reads the rows of a partition from the pages of its table, without an index.
 *
 * The events of a partition are written one after the other, so the row with the next
 * sequence is nearly always the next one on the page.  To find it there costs far less than
 * to find it by the index.  But nothing guarantees it: VACUUM gives space of rows that were
 * rolled back to later rows, and the owner of a store can rewrite a table.  So each row is
 * looked at: if the snapshot sees it and it has the sequence that comes next, it is the one
 * that the index would lead to, because sequences are unique.  If not, the caller uses
 * the index.
 *
 * The same holds for a search.  It guesses pages, as if sequences and positions were spread
 * evenly over them.  Whatever it finds there: a row that the snapshot sees, at or below the
 * value, and behind it the row with the next sequence, are the place.
 *
 * A page is read as a sequential scan does it.  Rows are checked while the page is locked.
 * After that the pin keeps the rows that the snapshot sees where they are.
 *
 * A scan of pages leaves no predicate locks, so under SERIALIZABLE an index is used.
 */
#include "postgres.h"

#include "base/compat.h"
#include "read/page_rows.h"
#include "store/event.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

/* How many rows are checked while a page is locked: a reader may need only a few. */
#define VERIFY_MAX 16

/* A search that takes more steps than this gives up. */
#define STEPS_MAX 20

bool
sierra_page_rows_usable(Relation rel, Snapshot snapshot)
{
	return rel->rd_tableam == GetHeapamTableAmRoutine() && IsMVCCSnapshot(snapshot) &&
		   !IsolationIsSerializable();
}

void
sierra_page_rows_begin(SierraPageRows *rows, Relation rel, Snapshot snapshot, BlockNumber end)
{
	bool usable = sierra_page_rows_usable(rel, snapshot);

	*rows = (SierraPageRows){.rel = usable ? rel : NULL, .snapshot = snapshot, .end = end};
}

void
sierra_page_rows_end(SierraPageRows *rows)
{
	if (BufferIsValid(rows->buffer))
		ReleaseBuffer(rows->buffer);
	rows->buffer = InvalidBuffer;
}

static void
move_to(SierraPageRows *rows, BlockNumber block, OffsetNumber next)
{
	if (!BufferIsValid(rows->buffer) || rows->block != block)
		rows->buffer = ReleaseAndReadBuffer(rows->buffer, rows->rel, block);
	rows->block = block;
	rows->next = rows->verified = next;
}

void
sierra_page_rows_follow(SierraPageRows *rows, const ItemPointerData *row)
{
	if (rows->rel != NULL && ItemPointerGetBlockNumberNoCheck(row) < rows->end)
		move_to(rows, ItemPointerGetBlockNumberNoCheck(row),
				OffsetNumberNext(ItemPointerGetOffsetNumberNoCheck(row)));
}

static Page
lock(SierraPageRows *rows)
{
	Page page = BufferGetPage(rows->buffer);

	LockBuffer(rows->buffer, BUFFER_LOCK_SHARE);
	sierra_compat_test_for_old_snapshot(rows->snapshot, rows->rel, page);
	return page;
}

static void
unlock(SierraPageRows *rows)
{
	LockBuffer(rows->buffer, BUFFER_LOCK_UNLOCK);
}

static void
get_tuple(const SierraPageRows *rows, Page page, OffsetNumber at, HeapTuple tuple)
{
	ItemId item = PageGetItemId(page, at);

	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	tuple->t_tableOid = RelationGetRelid(rows->rel);
	ItemPointerSet(&tuple->t_self, rows->block, at);
}

/*
 * The row at this place of the locked page.  NULL if there is none that the snapshot sees, or
 * its columns are not stored as expected.
 */
static const SierraEventFixed *
visible_at(const SierraPageRows *rows, Page page, OffsetNumber at)
{
	HeapTupleData tuple;

	if (!ItemIdIsNormal(PageGetItemId(page, at)))
		return NULL;
	get_tuple(rows, page, at, &tuple);
	/* As in a sequential scan: on a standby the page may be ahead of the snapshot. */
	if (!(PageIsAllVisible(page) && !rows->snapshot->takenDuringRecovery) &&
		!HeapTupleSatisfiesVisibility(&tuple, rows->snapshot, rows->buffer))
		return NULL;
	return sierra_event_fixed_of(&tuple);
}

typedef enum Found
{
	FOUND_NONE,	 /* no row that the snapshot sees is left on the page */
	FOUND_OTHER, /* the next one has another sequence */
	FOUND
} Found;

/* Looks for rows from the place next on, of which the first has this sequence. */
static Found
verify(SierraPageRows *rows, Page page, int64 sequence)
{
	OffsetNumber end = PageGetMaxOffsetNumber(page) + 1;
	const SierraEventFixed *fixed = NULL;
	OffsetNumber at = rows->next;

	while (at < end && (fixed = visible_at(rows, page, at)) == NULL)
		at++;
	if (fixed == NULL)
		return FOUND_NONE;
	if (fixed->partition_sequence != sequence)
		return FOUND_OTHER;
	rows->next = at;
	end = Min(end, at + VERIFY_MAX);
	do
		fixed = ++at < end ? visible_at(rows, page, at) : NULL;
	while (fixed != NULL && fixed->partition_sequence == ++sequence);
	rows->verified = at;
	return FOUND;
}

static Found
verify_locked(SierraPageRows *rows, int64 sequence)
{
	Found found = verify(rows, lock(rows), sequence);

	unlock(rows);
	return found;
}

/* Makes sure that there is a row with this sequence at the place next; false if not. */
static bool
find_next(SierraPageRows *rows, int64 sequence)
{
	Found found;

	if (!BufferIsValid(rows->buffer))
		return false;
	found = verify_locked(rows, sequence);
	if (found == FOUND_NONE && rows->block + 1 < rows->end)
	{
		move_to(rows, rows->block + 1, FirstOffsetNumber);
		found = verify_locked(rows, sequence);
	}
	return found == FOUND;
}

const SierraEventFixed *
sierra_page_rows_next(SierraPageRows *rows, int64 sequence, TupleTableSlot *slot)
{
	HeapTuple tuple = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;

	if (rows->next == rows->verified && !find_next(rows, sequence))
		return NULL;
	get_tuple(rows, BufferGetPage(rows->buffer), rows->next++, tuple);
	ExecStoreBufferHeapTuple(tuple, slot, rows->buffer);
	return sierra_event_fixed_of(tuple);
}

/* A row that a search has seen. */
typedef struct Seen
{
	int64 block;
	int64 sequence;
	int64 value; /* what is searched for */
} Seen;

/* Is there a row at this place?  Puts it into *low if it is not above the value, else *high. */
static bool
compare_at(SierraPageRows *rows, Page page, OffsetNumber at, SierraPageKey key, int64 value,
		   Seen *low, Seen *high, bool *is_above)
{
	const SierraEventFixed *fixed = visible_at(rows, page, at);
	Seen seen = {.block = rows->block};

	if (fixed == NULL)
		return false;
	seen.sequence = fixed->partition_sequence;
	seen.value = key == SIERRA_BY_SEQUENCE ? fixed->partition_sequence : fixed->global_position;
	*is_above = seen.value > value;
	*(*is_above ? high : low) = seen;
	return true;
}

typedef enum Place
{
	PLACE_HERE,	 /* on this page, behind the row *low */
	PLACE_OTHER, /* on another one: the last row of this page is *low, or the first one *high */
	PLACE_UNKNOWN
} Place;

static Place
search_page(SierraPageRows *rows, Page page, SierraPageKey key, int64 value, Seen *low, Seen *high)
{
	OffsetNumber first = FirstOffsetNumber;
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	bool is_above;

	while (first <= last && !compare_at(rows, page, first, key, value, low, high, &is_above))
		first++;
	if (first > last)
		return PLACE_UNKNOWN;
	if (is_above)
		return PLACE_OTHER;
	while (!compare_at(rows, page, last, key, value, low, high, &is_above))
		last--;
	if (!is_above)
		return PLACE_OTHER;
	while (last - first > 1)
	{
		OffsetNumber middle = first + (last - first) / 2;

		if (!compare_at(rows, page, middle, key, value, low, high, &is_above))
			return PLACE_UNKNOWN;
		if (is_above)
			last = middle;
		else
			first = middle;
	}
	rows->next = rows->verified = last;
	return PLACE_HERE;
}

/* A page between those of two rows. */
static BlockNumber
guess_page(const Seen *low, const Seen *high, int64 value, int step)
{
	int64 between = high->block - low->block - 1;
	double part =
		step % 4 == 0 ? 0.5 : (double) (value - low->value) / (double) (high->value - low->value);

	return low->block + 1 + Min((int64) (between * part), between - 1);
}

bool
sierra_page_rows_search(SierraPageRows *rows, SierraPageKey key, int64 value, int64 newest,
						BlockNumber guess, int64 *sequence)
{
	Seen low = {-1, SIERRA_NONE, SIERRA_NONE};
	Seen high = {rows->end, SIERRA_NONE, newest};
	Place place = PLACE_OTHER;

	if (rows->rel == NULL || value < low.value || value >= newest)
		return false;
	for (int step = 1; place == PLACE_OTHER && high.block - low.block > 1; step++)
	{
		if (step > STEPS_MAX)
			return false;
		if (step > 1 || guess >= rows->end)
			guess = guess_page(&low, &high, value, step);
		move_to(rows, guess, FirstOffsetNumber);
		place = search_page(rows, lock(rows), key, value, &low, &high);
		unlock(rows);
	}
	*sequence = low.sequence;
	if (place == PLACE_OTHER && high.block < rows->end)
	{
		move_to(rows, high.block, FirstOffsetNumber);
		place = PLACE_HERE;
	}
	return place == PLACE_HERE;
}
