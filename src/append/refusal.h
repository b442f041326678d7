/*
 * refusal.h
 *		Refusals: why an append was refused, as data, and as an error for SQL.
 */
#ifndef SIERRA_REFUSAL_H
#define SIERRA_REFUSAL_H

#include "read/query_probe.h"
#include "store/event.h"
#include "store/store.h"

/*
 * How an append ended.  An append is refused before anything is written.  The refusal is
 * returned and not raised as an error, so that a caller can continue with other appends
 * in the same transaction.
 */
typedef enum SierraAppendStatus
{
	SIERRA_APPEND_DONE,		/* written now */
	SIERRA_APPEND_REPEATED, /* stored before: the results are those of the first append */
	SIERRA_APPEND_WRONG_VERSION,
	SIERRA_APPEND_KEY_MISMATCH,
	SIERRA_APPEND_DUPLICATE_EVENT,
	SIERRA_APPEND_NOT_STRICT,
	SIERRA_APPEND_CONDITION_FAILED,
	SIERRA_APPEND_POSITION_NOT_REACHED,
	SIERRA_APPEND_NOT_SERIALIZABLE
} SierraAppendStatus;

/* Why an append was refused; the status says which members are set, store always is. */
typedef struct SierraRefusal
{
	const SierraStore *store;
	const SierraNewEvent *event; /* NULL: the query of the condition is the reason */
	SierraFoundEvent found;		 /* condition failed: the first event that matches its query */
	int64 after;				 /* condition failed, not reached: position of the condition */
	int64 position;				 /* not reached: the next position of the store */
	int64 current_version;		 /* wrong version; SIERRA_NONE for an empty stream */
	pg_uuid_t stream_key;		 /* key mismatch: the key of the stream */
	pg_uuid_t given_key;		 /* key mismatch: the key of the call */
	pg_uuid_t event_id;			 /* duplicate event */
	const char *reason;			 /* duplicate event: a full sentence for DETAIL */
	bool hidden;				 /* current_version, stream_key and found are not for the user */
} SierraRefusal;

/* Raises the error of a refusal; returns if the status is DONE or REPEATED. */
extern void sierra_refusal_report(SierraAppendStatus status, const SierraRefusal *refusal);

/*
 * Runs a check of what one of several calls is given.  If it raises an error that refuses the
 * call (class 22 or SE), this error is returned, else NULL.  The check runs without a
 * subtransaction, so it must do nothing that would have to be undone: it may only read values and
 * allocate memory.
 */
extern ErrorData *sierra_refusal_catch(void (*check)(void *arg), void *arg);

/* The error that sierra_refusal_report() would raise; NULL for DONE and REPEATED. */
extern ErrorData *sierra_refusal_error(SierraAppendStatus status, const SierraRefusal *refusal);

#endif /* SIERRA_REFUSAL_H */
