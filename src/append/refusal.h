/*
 * refusal.h
 *		Why an append was refused: as data for the engine, as errors for SQL.
 */
#ifndef SIERRA_REFUSAL_H
#define SIERRA_REFUSAL_H

#include "store/event.h"

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

/* Turns a refusal of the engine into an error; returns if there is none. */
extern void sierra_refusal_report(SierraAppendStatus status, const SierraRefusal *refusal);

#endif /* SIERRA_REFUSAL_H */
