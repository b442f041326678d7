/*
 * progress.c
 *		What a call that takes long is at, for others to see while it runs.
 *
 * PostgreSQL has views like pg_stat_progress_vacuum only for its own commands.
 */
#include "postgres.h"

#include "base/compat.h"
#include "wakeup/progress.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"

/* After how many steps others see them at the latest; also after each hundredth of the total. */
#define SHOW_EVERY 1000

/* The call of this backend; level is the nesting level of its transaction, 0: there is none. */
static int level = 0;
static SierraProgress own;
static bool kept;	/* does a commit leave it? */
static int64 shown; /* steps that others see */

/* Copies what fits, without a part of a character. */
static void
copy_text(char *to, const char *from, size_t size)
{
	int length = pg_mbcliplen(from, strlen(from), size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

static SierraProgress *
own_place(void)
{
	int place = sierra_compat_backend_number();

	return sierra_progress_places == NULL || place < 0 || place >= MaxBackends
			   ? NULL
			   : &sierra_progress_places[place];
}

/* Without shared memory, others see only the names of applications. */
static void
show_as_application(void)
{
	char name[NAMEDATALEN];

	if (own.total > 0)
		snprintf(name, sizeof(name), "%s: %s %d %%", own.operation, own.phase,
				 (int) Min(100, own.done * 100 / own.total));
	else
		snprintf(name, sizeof(name), "%s: %s", own.operation, own.phase);
	pgstat_report_appname(name);
}

static void
show(void)
{
	SierraProgress *place = own_place();

	shown = own.done;
	if (place == NULL)
	{
		show_as_application();
		return;
	}
	SpinLockAcquire(&place->mutex);
	place->pid = own.pid;
	place->database = own.database;
	memcpy(place->operation, own.operation, sizeof(own.operation));
	memcpy(place->store, own.store, sizeof(own.store));
	memcpy(place->subject, own.subject, sizeof(own.subject));
	memcpy(place->phase, own.phase, sizeof(own.phase));
	place->total = own.total;
	place->done = own.done;
	place->started_at = own.started_at;
	place->phase_started_at = own.phase_started_at;
	SpinLockRelease(&place->mutex);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			break;
		case XACT_EVENT_COMMIT:
			if (!kept)
				sierra_progress_end();
			break;
		default:
			sierra_progress_end();
	}
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (level >= GetCurrentTransactionNestLevel() && event == SUBXACT_EVENT_ABORT_SUB)
		sierra_progress_end();
}

/* One that is kept may still be there when a session ends between transactions. */
static void
end_of_process(int code, Datum arg)
{
	sierra_progress_end();
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	before_shmem_exit(end_of_process, (Datum) 0);
	registered = true;
}

void
sierra_progress_begin(const char *operation, const char *store, const char *subject)
{
	register_callbacks();
	memset(&own, 0, sizeof(own));
	own.pid = MyProcPid;
	own.database = MyDatabaseId;
	copy_text(own.operation, operation, sizeof(own.operation));
	copy_text(own.store, store, sizeof(own.store));
	copy_text(own.subject, subject, sizeof(own.subject));
	copy_text(own.phase, "starting", sizeof(own.phase));
	own.total = -1;
	own.started_at = own.phase_started_at = GetCurrentTimestamp();
	level = GetCurrentTransactionNestLevel();
	kept = false;
	show();
}

void
sierra_progress_keep(void)
{
	kept = true;
}

void
sierra_progress_phase(const char *phase, int64 total)
{
	if (level == 0)
		return;
	copy_text(own.phase, phase, sizeof(own.phase));
	own.phase_started_at = GetCurrentTimestamp();
	own.total = total;
	own.done = 0;
	show();
}

void
sierra_progress_add(int64 steps)
{
	if (level == 0)
		return;
	own.done += steps;
	if (own.done - shown >=
		(own.total <= 0 ? SHOW_EVERY : Min(SHOW_EVERY, Max(own.total / 100, 1))))
		show();
}

void
sierra_progress_end(void)
{
	SierraProgress *place = own_place();

	if (level == 0)
		return;
	level = 0;
	if (place == NULL)
	{
		pgstat_report_appname(application_name == NULL ? "" : application_name);
		return;
	}
	SpinLockAcquire(&place->mutex);
	place->pid = 0;
	SpinLockRelease(&place->mutex);
}

bool
sierra_progress_copy(int place, SierraProgress *copy)
{
	SierraProgress *from = &sierra_progress_places[place];

	SpinLockAcquire(&from->mutex);
	*copy = *from;
	SpinLockRelease(&from->mutex);
	return copy->pid != 0;
}
