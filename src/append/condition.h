/*
 * condition.h
 *		Conditions: an append is refused if its decision rests on facts that have changed.
 */
#ifndef SIERRA_CONDITION_H
#define SIERRA_CONDITION_H

#include "append/route.h"

/*
 * Reads a condition: an object with the members query and after, or streams, or all of them.
 * json must be a value of type json, so its syntax is valid.  Raises 22023 for another
 * structure, 22P02 for an invalid expected version, and 22004 for one that is null.
 */
extern void sierra_condition_parse(const text *json, SierraCondition *condition);

/*
 * Raises 22023 if the condition (or NULL) expects another version of a stream than the first
 * event of the call for this stream.
 */
extern void sierra_condition_check_events(const SierraCondition *condition,
										  const SierraNewEvent *events, int count);

/*
 * Looks for an event that the condition of the call, if any, excludes; the route is open and
 * locked, and so are the tags or the store.  Returns DONE, or a refusal: CONDITION_FAILED, or
 * NOT_SERIALIZABLE if the snapshot of the transaction does not see the event.
 */
extern SierraAppendStatus sierra_condition_check(const SierraRoute *route, SierraAppendCall *call);

/*
 * Returns POSITION_NOT_REACHED if the first position that the call has taken is not above that
 * of its condition.  Then the store has lost events since the position was read: it has
 * been restored, or a standby that was behind has been promoted.
 */
extern SierraAppendStatus sierra_condition_check_position(SierraAppendCall *call, int64 position);

#endif /* SIERRA_CONDITION_H */
