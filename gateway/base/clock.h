/*
 * clock.h
 *		Times: those of events, and those that only measure.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* PostgreSQL counts microseconds from 2000-01-01, protocol and clients milliseconds from
 * 1970-01-01. */
#define CLOCK_EPOCH_MSECS INT64_C(946684800000)

/* The latest time that SierraDB can keep: its nanoseconds are 64 bits. */
#define CLOCK_MAX_MSECS INT64_C(18446744073709)

static inline int64_t
clock_unix_msecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Never goes back. */
static inline int64_t
clock_usecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t
clock_to_postgres(int64_t unix_msecs)
{
	return (unix_msecs - CLOCK_EPOCH_MSECS) * 1000;
}

/* Rounded down, also before 2000. */
static inline int64_t
clock_of_postgres(int64_t usecs)
{
	int64_t msecs = usecs / 1000;

	if (usecs % 1000 < 0)
		msecs--;
	return msecs + CLOCK_EPOCH_MSECS;
}

#endif /* BASE_CLOCK_H */
