/*
 * backoff.h
 *		The pause before the next attempt: it doubles with each failure.
 */
#ifndef SIERRA_BACKOFF_H
#define SIERRA_BACKOFF_H

/*
 * Milliseconds to wait after this number of failures in a row (at least 1).  The
 * pause is first, then twice first, four times first, and so on; at most max.
 */
static inline int64
sierra_backoff(uint32 failures, int64 first, int64 max)
{
	return Min(max, first << Min(Max(failures, 1) - 1, 20));
}

#endif /* SIERRA_BACKOFF_H */
