/*
 * pace.c
 *		The pace of a session that follows a busy store.
 */
#include "postgres.h"

#include "base/compat.h"
#include "wakeup/pace.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

/* What the session followed last, and until when it rests before it looks there again. */
static uint32 last_subject;
static SierraTime rest_until = 0;

void
sierra_pace_begin(uint32 subject, SierraTime deadline)
{
	SierraTime until = Min(rest_until, deadline);
	SierraTime now;

	if (subject != last_subject)
		return;
	while ((now = sierra_now()) < until)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 sierra_ms_until(now, until), sierra_compat_wait_event("SierraEvents"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
sierra_pace_end(uint32 subject, int64 events, bool full)
{
	bool busy = events >= SIERRA_PACE_EVENTS && !full;

	last_subject = subject;
	rest_until = busy ? sierra_after_ms(sierra_now(), SIERRA_PACE_MS) : 0;
}
