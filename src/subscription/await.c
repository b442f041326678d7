/*
 * await.c
 *		Waiting until an event is processed, or can be read.
 *
 * It reads only rows that are replicated, so it works on a standby as on the
 * primary.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/stream_map.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "store/early_release.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"
#include "subscription/await.h"
#include "subscription/subscription.h"
#include "wakeup/doorbell.h"
#include "wakeup/wait.h"

#include "access/xact.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

void
sierra_refuse_waiting(int64 usecs)
{
	if (usecs > 0 && IsolationUsesXactSnapshot())
		ereport(ERROR, errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				errmsg("cannot wait for events in a transaction that keeps its snapshot"),
				errdetail("Under REPEATABLE READ and SERIALIZABLE a transaction does not see what "
						  "is committed later."),
				errhint("Use READ COMMITTED, or do not wait."));
}

/* Finds out for one event whether the subscription, if there is one, has processed it. */
typedef struct Question
{
	SierraSink base;
	const SierraSubscription *subscription;
	int64 position;
	bool processed;
} Question;

static bool
ask(SierraSink *base, TupleTableSlot *slot)
{
	Question *question = (Question *) base;
	const SierraSubscription *subscription = question->subscription;
	SierraStreamSlot *found = NULL;
	int32 partition = sierra_slot_int4(slot, Anum_events_partition_id);

	if (subscription == NULL || !sierra_subscription_matches(subscription, slot))
	{
		question->processed = true;
		return false;
	}
	if (subscription->diverted != NULL)
		found = sierra_streams_lookup(subscription->diverted,
									  sierra_slot_text(slot, Anum_events_stream_id));
	question->processed = subscription->after[partition] >= question->position;
	if (found != NULL)
	{
		const SierraDivertedStream *diverted = found->value;

		/*
		 * The row of a diverted stream says up to where it is done.  Once the
		 * stream is drained, the cursor counts too.
		 */
		if (diverted->position >= question->position)
			question->processed = true;
		else if (!diverted->drained)
			question->processed = false;
	}
	return false;
}

static int64
read_horizon(const SierraStore *store)
{
	int64 horizon;

	sierra_push_new_snapshot();
	horizon = sierra_read_horizon(store);
	PopActiveSnapshot();
	return horizon;
}

static void
end_await(int code, Datum arg)
{
	sierra_doorbell_end_await();
}

static bool
is_processed(const SierraStore *store, text *name, int64 position)
{
	Question question = {.base = {ask}, .position = position};
	SierraSubscription *subscription = NULL;

	sierra_push_new_snapshot();
	if (name != NULL)
	{
		subscription = sierra_subscription_load(store, name, sierra_query_begin(), true);
		sierra_subscription_load_diverted(subscription, true);
		sierra_query_end();
	}
	question.subscription = subscription;
	sierra_locate(store, position, &question.base);
	PopActiveSnapshot();
	return question.processed;
}

/* What a session waits for: that a position is processed, or that it can be read beyond one. */
typedef struct Awaited
{
	const SierraStore *store;
	text *name;
	int64 position;
	int64 horizon; /* filled in by is_readable() */
} Awaited;

static bool
is_done(Awaited *awaited)
{
	return is_processed(awaited->store, awaited->name, awaited->position);
}

static bool
is_readable(Awaited *awaited)
{
	awaited->horizon = read_horizon(awaited->store);
	return awaited->horizon > awaited->position;
}

/* Looks, and looks again whenever the doorbell rings, until it is over or the time is. */
static bool
await(Awaited *awaited, bool (*is_over)(Awaited *), int64 timeout_usecs)
{
	SierraTime deadline = sierra_deadline(timeout_usecs);
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es await", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	SierraWaiter waiter;
	volatile bool over = false;

	sierra_wait_begin(&waiter);
	sierra_doorbell_begin_await();
	/* Also if the session is terminated. */
	PG_ENSURE_ERROR_CLEANUP(end_await, (Datum) 0);
	{
		while (!(over = is_over(awaited)) && sierra_wait_next(&waiter, deadline))
			MemoryContextReset(context);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_await, (Datum) 0);
	sierra_doorbell_end_await();
	sierra_wait_end(&waiter);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return over;
}

bool
sierra_await(const SierraStore *store, text *name, int64 position, int64 timeout_usecs)
{
	Awaited awaited = {store, name, position, SIERRA_NONE};

	return await(&awaited, is_done, timeout_usecs);
}

int64
sierra_await_horizon(const SierraStore *store, int64 position, int64 timeout_usecs)
{
	Awaited awaited = {store, NULL, position, SIERRA_NONE};

	(void) await(&awaited, is_readable, timeout_usecs);
	return awaited.horizon;
}
