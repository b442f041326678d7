/*
 * errors.h
 *		SQLSTATE class SE: errors that only an event store has.
 *
 * Clients decide by these codes what to do, so they are part of the interface.
 * None of them is in class 40.  Drivers and poolers repeat a transaction by
 * themselves after an error of class 40, but an append with a wrong expected
 * version fails again each time it is repeated.
 */
#ifndef SIERRA_ERRORS_H
#define SIERRA_ERRORS_H

#include "utils/elog.h"

/* the stream is not at the version the caller expected */
#define ERRCODE_SIERRA_WRONG_VERSION MAKE_SQLSTATE('S', 'E', '0', '0', '1')
/* the stream belongs to another partition key */
#define ERRCODE_SIERRA_KEY_MISMATCH MAKE_SQLSTATE('S', 'E', '0', '0', '2')
/* the event id is in use, and the call is not an exact repetition of the first */
#define ERRCODE_SIERRA_DUPLICATE_EVENT MAKE_SQLSTATE('S', 'E', '0', '0', '3')
/* SE004 is reserved for deleted streams: nothing deletes a stream yet */
/* there is no complete event store with this name */
#define ERRCODE_SIERRA_NO_STORE MAKE_SQLSTATE('S', 'E', '0', '0', '5')
/* only the append functions may write to event tables */
#define ERRCODE_SIERRA_APPEND_ONLY MAKE_SQLSTATE('S', 'E', '0', '0', '6')
/* the store has no such subscription */
#define ERRCODE_SIERRA_NO_SUBSCRIPTION MAKE_SQLSTATE('S', 'E', '0', '0', '7')
/* the consumer does not hold the lease that its call needs */
#define ERRCODE_SIERRA_STALE_LEASE MAKE_SQLSTATE('S', 'E', '0', '0', '8')
/* an event that the condition of the append excludes has been appended */
#define ERRCODE_SIERRA_CONDITION_FAILED MAKE_SQLSTATE('S', 'E', '0', '0', '9')

#endif /* SIERRA_ERRORS_H */
