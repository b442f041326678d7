/*
 * notify_round.c
 *		Rounds of notifications: a runner looks at stores and sends NOTIFY.
 *
 * A round looks at the stores that rang, and sends their notifications in one
 * transaction.  It begins at least sierra_es.notify_interval after the round before it,
 * whichever runner of the database that was.  Every sierra_es.sweep_interval a round
 * looks at all stores, for events that did not ring: a sweep.
 *
 * Any runner of the database does the round that is due, between two jobs or when it is
 * idle: it takes the stores that rang out of the slot of the database.  If it fails or
 * ends before the notifications are sent, it puts them back.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "store/extension.h"
#include "wakeup/doorbell.h"
#include "worker/background.h"
#include "worker/notify_round.h"
#include "worker/store_watch.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/*
 * The pause after a round, or a sweep, is at least this many times its
 * duration.  So rounds take at most a tenth of the time, and sweeps a
 * hundredth.
 */
#define ROUND_PAUSE_FACTOR 9
#define SWEEP_PAUSE_FACTOR 99

static SierraDatabaseSlot *slot = NULL;
static MemoryContext round_context = NULL;

/* What the round that is under way has taken. */
static bool under_way = false;
static SierraRings taken;

void
sierra_rounds_begin(SierraDatabaseSlot *database_slot, bool alone)
{
	slot = database_slot;
	round_context =
		AllocSetContextCreate(TopMemoryContext, "sierra_es notify", ALLOCSET_DEFAULT_SIZES);
	if (alone)
		sierra_rounds_sweep_soon();
}

void
sierra_rounds_sweep_soon(void)
{
	SpinLockAcquire(&slot->mutex);
	slot->sweep_due = 0;
	SpinLockRelease(&slot->mutex);
}

/* Is there something to look at, as far as is known?  The caller holds the spinlock. */
static bool
has_rings(void)
{
	return slot->rings.count > 0 || slot->rings.overflow;
}

SierraTime
sierra_rounds_due(bool with_sweep)
{
	SierraTime due;

	SpinLockAcquire(&slot->mutex);
	due = has_rings() ? slot->round_due : Max(slot->round_due, sierra_watch_due());
	if (with_sweep)
		due = Min(due, slot->sweep_due);
	SpinLockRelease(&slot->mutex);
	return due;
}

/*
 * Takes the stores that rang if a round is due.  Meanwhile no other round begins, at
 * least for sierra_es.notify_interval.
 */
static bool
take_round(SierraTime now, bool *everything)
{
	SpinLockAcquire(&slot->mutex);
	*everything = now >= slot->sweep_due;
	under_way =
		*everything || (now >= slot->round_due && (has_rings() || now >= sierra_watch_due()));
	if (under_way)
	{
		taken = slot->rings;
		slot->rings.count = 0;
		slot->rings.overflow = false;
		slot->round_due = sierra_after_ms(now, sierra_guc_notify_interval);
		if (*everything)
			slot->sweep_due = sierra_after_ms(now, sierra_guc_sweep_interval);
	}
	SpinLockRelease(&slot->mutex);
	return under_way;
}

void
sierra_rounds_end(void)
{
	if (!under_way)
		return;
	under_way = false;
	SpinLockAcquire(&slot->mutex);
	sierra_doorbell_add_rings(&slot->rings, &taken);
	SpinLockRelease(&slot->mutex);
}

/*
 * Removes rings that need no NOTIFY.  With sierra_es.notify = off there are no
 * sweeps, which otherwise have to know about them.
 */
static void
drop_silent_rings(SierraRings *rings)
{
	int kept = 0;

	for (int i = 0; i < rings->count; i++)
	{
		if (rings->store[i].notify)
			rings->store[kept++] = rings->store[i];
	}
	rings->count = kept;
}

/* A transaction that only sends NOTIFY must not wait long, for locks or for the disk. */
static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
							 false);
}

/*
 * Looks at stores and sends notifications, in one transaction.  Returns how many were
 * sent, or -1 if the extension does not exist.
 */
static int
look_and_notify(bool everything)
{
	SierraRings rings = taken;
	int sent = -1;

	if (sierra_guc_notify == SIERRA_NOTIFY_OFF)
		drop_silent_rings(&rings);
	sierra_background_begin("looking for new events");
	set_local("synchronous_commit", "off");
	set_local("lock_timeout", "100ms");
	set_local("row_security", "off");
	if (sierra_extension_exists())
	{
		sent = sierra_watch_rings(&rings);
		if (everything && sierra_guc_notify != SIERRA_NOTIFY_OFF)
			sent += sierra_watch_all();
		else
			sent += sierra_watch_again();
	}
	sierra_background_end();
	return sent;
}

static void
remember_error(const char *message)
{
	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	strlcpy(slot->rounds.last_error, message, SIERRA_ERROR_MAX);
	slot->rounds.last_error_at = GetCurrentTimestamp();
	LWLockRelease(sierra_shared->lock);
}

/* Reports an error and continues; the rings are kept for the next round. */
static void
survive_error(void)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(round_context);
	error = CopyErrorData();
	EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	pgstat_report_activity(STATE_IDLE, NULL);
	remember_error(error->message);
	sierra_rounds_end();
	RESUME_INTERRUPTS();
}

/* When the next one is due depends on how long this one took, slow stores not counted. */
static void
note_round(SierraTime began, bool everything, bool failed, int sent)
{
	SierraTime ended = sierra_now();
	SierraTime took = Max(ended - began - sierra_watch_take_slow_time(), 0);
	int pause_ms = failed ? sierra_guc_sweep_interval : sierra_guc_notify_interval;

	SpinLockAcquire(&slot->mutex);
	slot->round_due = Max(sierra_after_ms(began, pause_ms), ended + took * ROUND_PAUSE_FACTOR);
	if (everything)
		slot->sweep_due = Max(sierra_after_ms(began, sierra_guc_sweep_interval),
							  ended + took * SWEEP_PAUSE_FACTOR);
	else
		slot->sweep_due += sierra_watch_left_out_time() * SWEEP_PAUSE_FACTOR;
	SpinLockRelease(&slot->mutex);

	LWLockAcquire(sierra_shared->lock, LW_EXCLUSIVE);
	slot->rounds.notifications += Max(sent, 0);
	if (sent > 0)
		slot->rounds.last_notify = GetCurrentTimestamp();
	if (everything)
		slot->rounds.last_sweep = GetCurrentTimestamp();
	LWLockRelease(sierra_shared->lock);
}

bool
sierra_rounds_run(void)
{
	MemoryContext caller = CurrentMemoryContext;
	SierraTime began = sierra_now();
	uint64 wakeups = pg_atomic_read_u64(&slot->wakeups);
	bool everything;
	volatile int sent = 0;
	bool volatile failed = false;

	/* A ring adds its store before it counts. */
	pg_memory_barrier();
	if (!take_round(began, &everything))
		return true;
	everything |= taken.overflow;
	MemoryContextSwitchTo(round_context);
	PG_TRY();
	{
		sent = look_and_notify(everything);
		under_way = false;
		pg_atomic_write_u64(&slot->wakeups_handled, wakeups);
	}
	PG_CATCH();
	{
		survive_error();
		failed = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextReset(round_context);
	note_round(began, everything, failed, sent);
	return sent >= 0;
}
