/*
 * call.h
 *		A call of an append: events that are appended all, or none.
 *
 * Several calls can be appended at once (eappend_each()); each is accepted or refused by itself.
 */
#ifndef SIERRA_CALL_H
#define SIERRA_CALL_H

#include "append/refusal.h"
#include "store/event_query.h"

struct SierraRouteStream;

/* At most this number of streams in a condition. */
#define SIERRA_CONDITION_STREAMS_MAX 64

/* A condition of a call; condition.h reads it. */
typedef struct SierraCondition
{
	bool has_query;
	SierraEventQuery query; /* no event above this position may match */
	int64 after;

	/* Positions above it of events that may match all the same; ascending. */
	const int64 *seen;
	int seen_count;

	/* Streams and their expected versions; of each event, only these two members are set. */
	SierraNewEvent *streams;
	int stream_count;
} SierraCondition;

typedef struct SierraAppendCall
{
	/* The caller sets these. */
	int first;						  /* the index of its first event; the others follow */
	int count;						  /* at least one */
	const pg_uuid_t *key;			  /* all its streams must have it; or NULL */
	const SierraCondition *condition; /* or NULL */
	const pg_uuid_t *transaction_id;  /* what its events share; NULL to generate one */

	/* The append sets these. */
	struct SierraRouteStream **checked; /* by stream of the condition; NULL for "any" */
	int repeated;						/* its first event whose id it has already, or -1 */
	bool begins_round;					/* the calls before it are written first */
	SierraAppendStatus status;
	SierraRefusal refusal; /* if the status is neither DONE nor REPEATED */
} SierraAppendCall;

#endif /* SIERRA_CALL_H */
