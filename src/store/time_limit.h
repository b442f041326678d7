/*
 * time_limit.h
 *		Bounds the time that code of users takes in a job of a runner.
 *
 * Outside of runners, nothing is limited: a session has statement_timeout.
 */
#ifndef SIERRA_TIME_LIMIT_H
#define SIERRA_TIME_LIMIT_H

/*
 * Begin and end of a job, which has this number of milliseconds; 0: no limit.
 * When they are over, what runs is cancelled, and then the process is terminated
 * if it does not stop.
 */
extern void sierra_time_limit_begin_job(int limit_ms);
extern void sierra_time_limit_end_job(void);

/*
 * Begin of a part of the job that can fail by itself: a batch of events, a step, a
 * timer.  It has the whole time again.
 */
extern void sierra_time_limit_begin(void);

/* Is the time of the job over?  Then it should end after the part that it is in. */
extern bool sierra_time_limit_is_over(void);

/*
 * Was this error raised because the time was over?  Then makes it one that counts as
 * a failure of what ran (54000), rather than a cancellation, and begins another part.
 */
extern bool sierra_time_limit_take(ErrorData *error);

/* In PG_CATCH: raises the error again, after sierra_time_limit_take().  Does not return. */
extern void sierra_time_limit_rethrow(MemoryContext context);

#endif /* SIERRA_TIME_LIMIT_H */
