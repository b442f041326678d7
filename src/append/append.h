/*
 * append.h
 *		The append engine.
 */
#ifndef SIERRA_APPEND_H
#define SIERRA_APPEND_H

#include "append/insert.h"
#include "store/event.h"
#include "store/store.h"

/*
 * How an append ended.  Refusals are found before anything is written and are
 * returned rather than raised, so that a caller can go on with other appends
 * in the same transaction.
 */
typedef enum SierraAppendStatus
{
	SIERRA_APPEND_DONE,		/* written now */
	SIERRA_APPEND_REPEATED, /* stood there already: the numbers are the first ones */
	SIERRA_APPEND_WRONG_VERSION,
	SIERRA_APPEND_KEY_MISMATCH,
	SIERRA_APPEND_DUPLICATE_EVENT,
	SIERRA_APPEND_NOT_STRICT,
	SIERRA_APPEND_NOT_SERIALIZABLE
} SierraAppendStatus;

/* Why an append was refused; what is set depends on the status. */
typedef struct SierraRefusal
{
	const SierraNewEvent *event;
	int64 current_version; /* wrong version; SIERRA_NONE for an empty stream */
	pg_uuid_t stream_key;  /* key mismatch: what the stream has */
	pg_uuid_t given_key;   /* key mismatch: what the call says */
	pg_uuid_t event_id;	   /* duplicate event */
	const char *reason;	   /* duplicate event: a full sentence */
} SierraRefusal;

/*
 * Appends count events (each checked by sierra_event_check()) as one: all or
 * none.  With a key, every stream of the call belongs to it; without, each
 * stream keeps the key it has or gets that of its name.  Each event's expected
 * version is compared with the stream as the events before it left it.
 *
 * Fills numbers[0 .. count - 1] when DONE or REPEATED, *refusal otherwise.
 * The caller checked the INSERT right.  Raises what is no refusal: read-only
 * transactions, deadlocks, violated constraints, errors of triggers.
 */
extern SierraAppendStatus sierra_append(const SierraStore *store, const pg_uuid_t *key,
										const SierraNewEvent *events, int count,
										SierraAppended *numbers, SierraRefusal *refusal);

#endif /* SIERRA_APPEND_H */
