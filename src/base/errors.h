/*
 * errors.h
 *		SQLSTATE class SE: what only an event store can answer.
 *
 * Clients branch on these codes, so they are part of the interface.  None of
 * them is in class 40: drivers and poolers repeat class 40 by themselves, and
 * repeating an append whose expected version was wrong can never succeed.
 */
#ifndef SIERRA_ERRORS_H
#define SIERRA_ERRORS_H

#include "utils/elog.h"

/* the stream is not at the version the caller expected */
#define ERRCODE_SIERRA_WRONG_VERSION MAKE_SQLSTATE('S', 'E', '0', '0', '1')
/* the stream belongs to another partition key */
#define ERRCODE_SIERRA_KEY_MISMATCH MAKE_SQLSTATE('S', 'E', '0', '0', '2')
/* the event id is in use, and the call is no exact repetition of the first */
#define ERRCODE_SIERRA_DUPLICATE_EVENT MAKE_SQLSTATE('S', 'E', '0', '0', '3')
/* SE004 is reserved for deleted streams: nothing deletes a stream yet */
/* sierra_es.store names no event store */
#define ERRCODE_SIERRA_NO_STORE MAKE_SQLSTATE('S', 'E', '0', '0', '5')
/* event tables are written by the append functions only */
#define ERRCODE_SIERRA_APPEND_ONLY MAKE_SQLSTATE('S', 'E', '0', '0', '6')
/* the store has no such subscription */
#define ERRCODE_SIERRA_NO_SUBSCRIPTION MAKE_SQLSTATE('S', 'E', '0', '0', '7')
/* the consumer lost, or never had, the lease that its call needs */
#define ERRCODE_SIERRA_STALE_LEASE MAKE_SQLSTATE('S', 'E', '0', '0', '8')

#endif /* SIERRA_ERRORS_H */
