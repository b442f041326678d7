/*
 * clock.h
 *		A clock that never goes back, for pauses, intervals and time limits.
 *
 * The wall clock can be set back by an hour, and whatever waited for a time of that
 * clock would wait for an hour longer.  So durations are measured with this clock.
 * Only times that a table keeps, such as the due time of a timer, are of the wall clock.
 * All processes of a server see the same clock; it starts again when the machine does.
 */
#ifndef SIERRA_CLOCK_H
#define SIERRA_CLOCK_H

#include "portability/instr_time.h"
#include "utils/timestamp.h"

/* A time of this clock in microseconds; 0 is before all others. */
typedef int64 SierraTime;

#define SIERRA_NEVER PG_INT64_MAX

static inline SierraTime
sierra_now(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (SierraTime) INSTR_TIME_GET_MICROSEC(now);
}

/* The end of a duration in microseconds that begins now; it can be as long as int64 allows. */
static inline SierraTime
sierra_deadline(int64 microseconds)
{
	SierraTime now = sierra_now();

	return microseconds >= SIERRA_NEVER - now ? SIERRA_NEVER : now + microseconds;
}

static inline SierraTime
sierra_after_ms(SierraTime time, int64 milliseconds)
{
	return time + milliseconds * 1000;
}

/* Is "now" at least this number of milliseconds after "then"? */
static inline bool
sierra_is_past(SierraTime then, SierraTime now, int64 milliseconds)
{
	return now - then >= milliseconds * 1000;
}

/* Milliseconds until "then", rounded up, as a timeout; not negative, and at most PG_INT32_MAX. */
static inline long
sierra_ms_until(SierraTime now, SierraTime then)
{
	if (then <= now)
		return 0;
	if (then - now >= (int64) PG_INT32_MAX * 1000)
		return PG_INT32_MAX;
	return (long) ((then - now + 999) / 1000);
}

/* When the wall clock will show a time, if nobody sets it until then. */
static inline SierraTime
sierra_time_of_wall(SierraTime now, TimestampTz wall)
{
	TimestampTz wall_now;

	if (wall == DT_NOEND)
		return SIERRA_NEVER;
	if (wall == DT_NOBEGIN)
		return 0;
	wall_now = GetCurrentTimestamp();
	return wall <= wall_now ? now : now + (wall - wall_now);
}

/* What the wall clock shows for a time of this clock; 0 if the time is 0. */
static inline TimestampTz
sierra_wall_of_time(SierraTime time)
{
	return time == 0 ? 0 : GetCurrentTimestamp() + (time - sierra_now());
}

#endif /* SIERRA_CLOCK_H */
