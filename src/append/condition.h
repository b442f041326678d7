/*
 * condition.h
 *		Conditions: an append is refused if its decision rests on facts that have changed.
 */
#ifndef SIERRA_CONDITION_H
#define SIERRA_CONDITION_H

#include "append/refusal.h"
#include "append/route.h"
#include "store/event_query.h"

/* At most this number of streams in a condition. */
#define SIERRA_CONDITION_STREAMS_MAX 64

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

/*
 * Reads a condition: an object with the members query and after, or streams, or all of them.
 * json must be a value of type json, so its syntax is valid.  Raises 22023 for another
 * structure, 22P02 for an invalid expected version, and 22004 for one that is null.
 */
extern void sierra_condition_parse(const text *json, SierraCondition *condition);

/*
 * Looks for an event that the condition (or NULL) excludes; the route is open and locked, and
 * so are the tags or the store.  Returns DONE, or a refusal: CONDITION_FAILED, or
 * NOT_SERIALIZABLE if the snapshot of the transaction does not see the event.
 */
extern SierraAppendStatus sierra_condition_check(const SierraRoute *route,
												 const SierraCondition *condition,
												 SierraRefusal *refusal);

/*
 * Raises SE009 if the first position that the append has taken is not above that of the
 * condition (or NULL).  Then the store has lost events since the position was read: it has
 * been restored, or a standby that was behind has been promoted.
 */
extern void sierra_condition_check_position(const SierraStore *store,
											const SierraCondition *condition, int64 position);

#endif /* SIERRA_CONDITION_H */
