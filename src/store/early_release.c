/*
 * early_release.c
 *		Early lock release: an append gives its locks back before its commit is flushed.
 *
 * Appends to one partition wait for each other until the holder of the partition lock
 * has committed, which includes the time that the disk needs.  With
 * sierra_es.early_lock_release, a transaction that appends commits as with
 * synchronous_commit = off, gives its locks back, and only then flushes its commit,
 * before the client gets its answer.  So the appends that follow it share its flush.
 * README.md says why that is sound; in the order of a commit (CommitTransaction()):
 *
 *	XACT_EVENT_PRE_COMMIT	counts itself as committing, and switches synchronous_commit off
 *	commit record			written into the WAL, not flushed
 *	end of the transaction	from here on, new snapshots see it
 *	XACT_EVENT_COMMIT		publishes the end of the commit record, counts itself out
 *	release of locks
 *	resource release		flushes up to the commit record
 *	answer to the client
 *
 * A reader takes its snapshot first.  If nobody is committing then, the ends of all
 * commits that the snapshot sees are published, and it flushes up to the newest.  If
 * somebody is, the snapshot may see a commit whose end is not published yet; but its
 * record is in the WAL, so the reader flushes everything that is in the WAL now.
 */
#include "postgres.h"

#include "base/guc.h"
#include "store/early_release.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

SierraEarlyRelease *sierra_early_release = NULL;

/* How far the early release of this transaction is. */
static enum { NOT_WANTED, WANTED, COMMITTING, NOT_FLUSHED } state = NOT_WANTED;

/* What synchronous_commit was before it was switched off for a commit. */
static int user_synchronous_commit;

void
sierra_early_release_attach(SierraEarlyRelease *memory, bool found)
{
	sierra_early_release = memory;
	if (found)
		return;
	pg_atomic_init_u32(&memory->committing, 0);
	pg_atomic_init_u64(&memory->newest, 0);
}

/*
 * Readers flush only to the disk of this server, so a commit that has to wait for
 * standbys keeps its locks meanwhile.  One that does not wait for its flush is as early
 * as can be.
 */
static bool
is_possible(void)
{
	bool waits_for_standbys =
		SyncRepRequested() && SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0';

	return synchronous_commit != SYNCHRONOUS_COMMIT_OFF && !waits_for_standbys;
}

static void
begin_commit(void)
{
	user_synchronous_commit = synchronous_commit;
	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	state = COMMITTING;

	/* A full barrier: a reader that sees the commit sees this before. */
	pg_atomic_fetch_add_u32(&sierra_early_release->committing, 1);
}

static void
publish(uint64 end)
{
	uint64 newest = pg_atomic_read_u64(&sierra_early_release->newest);

	while (newest < end &&
		   !pg_atomic_compare_exchange_u64(&sierra_early_release->newest, &newest, end))
		;
}

/* The commit record is written, or the transaction has been aborted before. */
static void
end_commit(bool committed)
{
	synchronous_commit = user_synchronous_commit;
	if (committed)
		publish(XactLastCommitEnd);

	/* A full barrier: a reader that does not count us finds the end of our commit. */
	pg_atomic_fetch_sub_u32(&sierra_early_release->committing, 1);
	state = committed ? NOT_FLUSHED : NOT_WANTED;
}

/* A prepared transaction flushes its commit before it gives its locks back. */
static void
note_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (state == WANTED && is_possible())
				begin_commit();
			return;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			if (state == COMMITTING)
				end_commit(event == XACT_EVENT_COMMIT);
			else
				state = NOT_WANTED;
			return;
		case XACT_EVENT_PREPARE:
			state = NOT_WANTED;
			return;
		default:
			return;
	}
}

/* This is not the place for errors; but if the WAL cannot be flushed, the server stops. */
void
sierra_early_release_finish(void)
{
	if (state != NOT_FLUSHED)
		return;
	state = NOT_WANTED;
	XLogFlush(XactLastCommitEnd);
}

static void
finish_after_locks(ResourceReleasePhase phase, bool commits, bool top_level, void *arg)
{
	if (phase == RESOURCE_RELEASE_AFTER_LOCKS && top_level)
		sierra_early_release_finish();
}

/* With sierra_es.notify = transaction, others get the notification before the flush. */
void
sierra_early_release_note(void)
{
	static bool registered = false;

	if (!sierra_guc_early_lock_release || sierra_early_release == NULL ||
		sierra_guc_notify == SIERRA_NOTIFY_TRANSACTION)
		return;
	if (!registered)
	{
		RegisterXactCallback(note_event, NULL);
		RegisterResourceReleaseCallback(finish_after_locks, NULL);
	}
	registered = true;
	state = WANTED;
}

/*
 * The end of the last record that was inserted, or is being inserted.
 * GetXLogInsertRecPtr() returns where the next one begins.  At the beginning of a page
 * that is behind the header, which is not there yet and cannot be flushed.
 */
static XLogRecPtr
end_of_wal(void)
{
	XLogRecPtr next = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(next, wal_segment_size) == SizeOfXLogLongPHD)
		return next - SizeOfXLogLongPHD;
	if (next % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return next - SizeOfXLogShortPHD;
	return next;
}

void
sierra_flush_early_commits(void)
{
	XLogRecPtr end;

	pg_memory_barrier();
	if (pg_atomic_read_u32(&sierra_early_release->committing) != 0)
		end = end_of_wal();
	else
	{
		pg_read_barrier();
		end = pg_atomic_read_u64(&sierra_early_release->newest);
	}
	XLogFlush(end);
}

void
sierra_push_new_snapshot(void)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	sierra_flush_seen();
}
