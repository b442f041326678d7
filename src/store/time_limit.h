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
 * Begin and end of a part of the job that can fail by itself: a batch of events, a step,
 * a timer.  It has the whole time again.  A part that code of users begins inside of
 * another has no time of its own, or they could continue without end.  The caller ends
 * the part after an error too.
 */
extern void sierra_time_limit_begin(void);
extern void sierra_time_limit_end(void);

/* Is there a limit: is this a runner in a job, or another call that set one? */
extern bool sierra_time_limit_is_set(void);

/* Is the time of the job over?  Then it should end after the part that it is in. */
extern bool sierra_time_limit_is_over(void);

/*
 * Was this error raised because the time was over, in a part that is not inside of
 * another?  Then makes it one that counts as a failure of what ran (54000), rather than a
 * cancellation, and the time begins again.
 */
extern bool sierra_time_limit_take(ErrorData *error);

/*
 * In PG_CATCH: raises the error again, after sierra_time_limit_take(), and, if the part
 * ends with it, after sierra_time_limit_end().  Does not return.
 */
extern void sierra_time_limit_rethrow(MemoryContext context, bool ends);

#endif /* SIERRA_TIME_LIMIT_H */
