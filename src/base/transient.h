/*
 * transient.h
 *		Which errors say nothing about the work that they interrupted.
 */
#ifndef SIERRA_TRANSIENT_H
#define SIERRA_TRANSIENT_H

/*
 * Is this the SQLSTATE, as in ErrorData, of an error that says nothing about the
 * event, the timer or the step that was handled?  Such work is tried again
 * without counting an attempt.
 */
extern bool sierra_error_is_transient(int sqlerrcode);

#endif /* SIERRA_TRANSIENT_H */
