/*
 * scan.h
 *		Index scans over the tables of a store.
 *
 * The caller keeps the relation open.  The slot of a scan holds one row at a time,
 * until the next call of sierra_scan_next() or sierra_scan_end().
 */
#ifndef SIERRA_SCAN_H
#define SIERRA_SCAN_H

#include "access/genam.h"
#include "access/relscan.h"
#include "access/sdir.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "store/event.h"
#include "store/store.h"

/* The indexes of a partition: their places in sierra_partition_shape. */
typedef enum SierraIndex
{
	SIERRA_INDEX_SEQUENCE, /* (partition_sequence) */
	SIERRA_INDEX_STREAM,   /* (stream_id, stream_version) */
	SIERRA_INDEX_EVENT_ID  /* (event_id) */
} SierraIndex;

typedef struct SierraScan
{
	Relation rel;
	Relation index;
	bool owns_index;
	Snapshot snapshot;
	IndexScanDesc desc; /* NULL before sierra_scan_rescan(): its memory is large */
	TupleTableSlot *slot;
	int nkeys;
} SierraScan;

/* Opens a partition; SE005 when it has been dropped or altered meanwhile. */
extern Relation sierra_scan_open_partition(const SierraStore *store, int partition, LOCKMODE lock);

/* Opens an index of a partition by what it is for; SE005 when it is not there. */
extern Relation sierra_scan_open_index(Relation rel, SierraIndex kind);

/*
 * Begins a scan; each sierra_scan_rescan(), with nkeys keys, positions it.  With
 * owns_index, sierra_scan_end() closes the index.
 */
extern void sierra_scan_begin(SierraScan *scan, Relation relation, Relation index, bool owns_index,
							  Snapshot snapshot, int nkeys);
extern void sierra_scan_rescan(SierraScan *scan, ScanKey keys);

/* Puts the next row into the slot of the scan; false if there is none. */
extern bool sierra_scan_next(SierraScan *scan, ScanDirection direction);
extern void sierra_scan_end(SierraScan *scan);

/*
 * Puts the committed row with this key into the slot of the scan, whose
 * snapshot is dirty (InitDirtySnapshot()); false if there is none.  Waits for a
 * transaction that is adding it.
 */
extern bool sierra_scan_find_settled(SierraScan *scan, Snapshot dirty, ScanKey key);

/*
 * Puts the row with the highest number into the slot of the scan; false if there is
 * none.  The scan has a key for each index column before that of the number.  The rows
 * are numbered from 0, and those that the snapshot sees have no gap.
 */
extern bool sierra_scan_last(SierraScan *scan, ScanKey prefix);

/*
 * Puts the row of the last entry of a btree index into a slot of the table, without a
 * scan.  False if the snapshot does not see it, or there is no last entry: then others
 * before it can be seen all the same.
 */
extern bool sierra_scan_fetch_end(Relation rel, Relation index, Snapshot snapshot,
								  TupleTableSlot *slot);

/*
 * Sequence and position of the newest event of a partition that the snapshot
 * sees; false, and both SIERRA_NONE, if it sees none.
 */
extern bool sierra_scan_newest(Relation rel, Relation sequence_index, Snapshot snapshot,
							   int64 *sequence, int64 *position);

/*
 * The same as SnapshotSelf sees it, faster, for a caller that holds the partition lock.
 * Uses the slot, which is one of the table; both numbers are SIERRA_NONE if there is no event.
 */
extern void sierra_scan_newest_locked(Relation rel, Relation sequence_index, TupleTableSlot *slot,
									  int64 *sequence, int64 *position);

typedef enum SierraFound
{
	SIERRA_NOT_FOUND,
	SIERRA_FOUND,
	SIERRA_UNKNOWN
} SierraFound;

/*
 * Puts the newest row of a stream in a partition, as SnapshotSelf sees it, into the slot.
 * For a caller that holds the partition lock.  UNKNOWN: only a scan finds out.
 */
extern SierraFound sierra_scan_newest_of_stream(Relation rel, Relation stream_index,
												const text *stream_id, TupleTableSlot *slot);

/*
 * Does table event_tags, of which this is the index, have entries of a tag above a position?
 * False is certain, for a caller that holds the lock of the tag.
 */
extern bool sierra_scan_may_have_tag_after(Relation rel, Relation index, const text *tag,
										   int64 after);

/* Scan keys: comparisons of index columns, with strategies of btree. */
extern void sierra_scan_key_int8(ScanKey key, AttrNumber column, StrategyNumber strategy,
								 int64 value);
extern void sierra_scan_key_text(ScanKey key, AttrNumber column, const text *value);
extern void sierra_scan_key_uuid(ScanKey key, AttrNumber column, const pg_uuid_t *value);

/* A NOT NULL column of the row in a slot; SE005 if it is null all the same. */
extern int64 sierra_slot_int8(TupleTableSlot *slot, AttrNumber column);
extern int32 sierra_slot_int4(TupleTableSlot *slot, AttrNumber column);
extern const pg_uuid_t *sierra_slot_uuid(TupleTableSlot *slot, AttrNumber column);
extern text *sierra_slot_text(TupleTableSlot *slot, AttrNumber column);
extern bool sierra_slot_text_equal(TupleTableSlot *slot, AttrNumber column, const text *value);

/* The same of an event, for columns that nearly every reader looks at. */
static inline int64
sierra_event_position(TupleTableSlot *slot)
{
	const SierraEventFixed *fixed = sierra_event_fixed(slot);

	return fixed != NULL ? fixed->global_position
						 : sierra_slot_int8(slot, Anum_events_global_position);
}

static inline int64
sierra_event_sequence(TupleTableSlot *slot)
{
	const SierraEventFixed *fixed = sierra_event_fixed(slot);

	return fixed != NULL ? fixed->partition_sequence
						 : sierra_slot_int8(slot, Anum_events_partition_sequence);
}

#endif /* SIERRA_SCAN_H */
