/*
 * position_sequence.c
 *		The sequence object that global positions are taken from.
 *
 * Does what nextval() does (nextval_internal() in commands/sequence.c), with three
 * differences: it takes many numbers at once, it needs no rights on the sequence,
 * and it leaves the session's currval() and lastval() alone, which drivers read to
 * find the key of a row that they have just inserted.
 *
 * As there, the WAL gets a number that lies ahead, so that not every call writes a
 * record.  After a crash the sequence continues at the number in the WAL.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/errors.h"
#include "store/event.h"
#include "store/position_sequence.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

/* How far ahead the number in the WAL lies, as SEQ_LOG_VALS in commands/sequence.c. */
#define LOGGED_AHEAD 32

/* The only row of a sequence, in its locked buffer. */
typedef struct SequenceRow
{
	Buffer buffer;
	HeapTupleHeader header;
	int length;
	Form_pg_sequence_data data;
} SequenceRow;

static Relation
open_sequence(const SierraStore *store, LOCKMODE lock)
{
	Relation rel = try_relation_open(store->global_position, lock);

	if (rel == NULL)
		sierra_store_report_missing(NameStr(store->name));
	if (rel->rd_rel->relkind != RELKIND_SEQUENCE ||
		rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(
			ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
			errmsg("event store \"%s\" is not complete", NameStr(store->name)),
			errdetail("Relation \"%s\" is not a logged sequence.", RelationGetRelationName(rel)),
			errhint("Undo the change to it, or restore the schema from a dump."));
	return rel;
}

static void
lock_row(Relation rel, int mode, SequenceRow *row)
{
	Page page;
	ItemId item;

	row->buffer = ReadBuffer(rel, 0);
	LockBuffer(row->buffer, mode);
	page = BufferGetPage(row->buffer);
	item = PageGetItemId(page, FirstOffsetNumber);
	row->header = (HeapTupleHeader) PageGetItem(page, item);
	row->length = ItemIdGetLength(item);
	row->data = (Form_pg_sequence_data) ((char *) row->header + row->header->t_hoff);
}

static int64
last_of(const SequenceRow *row)
{
	return row->data->is_called ? row->data->last_value : row->data->last_value - 1;
}

int64
sierra_position_last(const SierraStore *store)
{
	Relation rel = open_sequence(store, AccessShareLock);
	SequenceRow row;
	int64 last;

	lock_row(rel, BUFFER_LOCK_SHARE, &row);
	last = last_of(&row);
	UnlockReleaseBuffer(row.buffer);
	relation_close(rel, AccessShareLock);
	return last;
}

/* Writes a number that lies ahead into the WAL; in a critical section. */
static void
log_ahead(Relation rel, SequenceRow *row, int64 ahead)
{
	Page page = BufferGetPage(row->buffer);
	xl_seq_rec record;
	XLogRecPtr end;

	/* The record replaces the page, so it must not contain what comes later. */
	row->data->last_value = ahead;
	row->data->is_called = true;
	row->data->log_cnt = 0;

	sierra_compat_set_sequence_record(&record, rel);
	XLogBeginInsert();
	XLogRegisterBuffer(0, row->buffer, REGBUF_WILL_INIT);
	XLogRegisterData((char *) &record, sizeof(record));
	XLogRegisterData((char *) row->header, row->length);
	end = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
	PageSetLSN(page, end);
}

static void
report_exhausted(const SierraStore *store)
{
	ereport(ERROR, errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
			errmsg("event store \"%s\" has no global positions left", NameStr(store->name)),
			errdetail("The largest is %lld.", (long long) store->position_max),
			errhint("Increase MAXVALUE of its sequence \"global_position\"."));
}

int64
sierra_position_take_next(const SierraStore *store, int64 count)
{
	Relation rel = open_sequence(store, RowExclusiveLock);
	SequenceRow row;
	int64 last;
	int64 ahead;
	bool log;

	/* The commit flushes the WAL only of a transaction that has an id. */
	if (RelationNeedsWAL(rel))
		(void) GetTopTransactionId();
	lock_row(rel, BUFFER_LOCK_EXCLUSIVE, &row);
	last = Max(last_of(&row), SIERRA_NONE);
	if (store->position_max - count < last)
	{
		UnlockReleaseBuffer(row.buffer);
		report_exhausted(store);
	}

	ahead = Min(store->position_max - (last + count), LOGGED_AHEAD);

	/* After a checkpoint the first change writes a record, as its page may be torn. */
	log = !row.data->is_called || row.data->log_cnt < count ||
		  PageGetLSN(BufferGetPage(row.buffer)) <= GetRedoRecPtr();

	START_CRIT_SECTION();
	MarkBufferDirty(row.buffer);
	if (log && RelationNeedsWAL(rel))
		log_ahead(rel, &row, last + count + ahead);
	row.data->log_cnt = log ? ahead : row.data->log_cnt - count;
	row.data->last_value = last + count;
	row.data->is_called = true;
	END_CRIT_SECTION();

	UnlockReleaseBuffer(row.buffer);
	relation_close(rel, NoLock);
	return last + 1;
}
