/*
 * time_limit.c
 *		Bounds the time that code of users takes in a job of a runner.
 *
 * A cancellation says nothing about what it interrupts (base/transient.c).  But a
 * handler that takes too long would take too long again.  So where code of users is
 * called, the cancellation becomes an error that is counted like any other.
 *
 * A handler can catch the cancellation and continue.  It is cancelled again after
 * AGAIN_MS, and the third time the process is terminated.
 */
#include "postgres.h"

#include "base/clock.h"
#include "store/time_limit.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sierra_job_time_is_over);

#define AGAIN_MS 5000

static TimeoutId timeout;
static int limit = 0; /* milliseconds; 0: nothing is limited */
static SierraTime job_end;
static volatile sig_atomic_t hits = 0;
static int depth = 0; /* parts that the process is in; code of users can begin others */

/* Runs in a signal handler. */
static void
time_is_over(void)
{
	hits++;
	if (hits > 2)
		ProcDiePending = true;
	else
		QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

static void
start(void)
{
	hits = 0;
	enable_timeout_every(timeout, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), limit),
						 AGAIN_MS);
}

void
sierra_time_limit_begin(void)
{
	if (limit != 0 && depth++ == 0)
		start();
}

void
sierra_time_limit_end(void)
{
	if (limit != 0)
		depth--;
}

void
sierra_time_limit_begin_job(int limit_ms)
{
	static bool registered = false;

	if (!registered)
		timeout = RegisterTimeout(USER_TIMEOUT, time_is_over);
	registered = true;
	limit = limit_ms;
	depth = 0;
	job_end = sierra_after_ms(sierra_now(), limit_ms);
	if (limit != 0)
		start();
}

void
sierra_time_limit_end_job(void)
{
	if (limit == 0)
		return;
	disable_timeout(timeout, false);
	/* It must not cancel what comes next. */
	if (hits > 0)
		QueryCancelPending = false;
	limit = hits = depth = 0;
}

bool
sierra_time_limit_is_set(void)
{
	return limit != 0;
}

bool
sierra_time_limit_is_over(void)
{
	return limit != 0 && sierra_now() >= job_end;
}

bool
sierra_time_limit_take(ErrorData *error)
{
	if (limit == 0 || hits == 0 || depth > 1 || error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		return false;
	error->sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	error->message = psprintf("it took longer than \"sierra_es.job_timeout\" (%d ms)", limit);
	start();
	return true;
}

void
sierra_time_limit_rethrow(MemoryContext context, bool ends)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	(void) sierra_time_limit_take(error);
	if (ends)
		sierra_time_limit_end();
	ReThrowError(error);
}

Datum
sierra_job_time_is_over(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(sierra_time_limit_is_over());
}
