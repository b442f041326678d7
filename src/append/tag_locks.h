/*
 * tag_locks.h
 *		Tag locks: keep appends with a tag and conditions on this tag apart.
 *
 * An append holds the lock of each tag of its events.  A condition holds the lock of one tag
 * of each item of its query: each event that matches the item has this tag.  Appends with
 * the same tag do not exclude each other, nor do conditions on it.
 */
#ifndef SIERRA_TAG_LOCKS_H
#define SIERRA_TAG_LOCKS_H

#include "append/call.h"
#include "append/condition.h"
#include "store/event.h"
#include "store/store.h"

/*
 * An append that would need more tag locks than this takes the lock of the whole store
 * instead, since the table of locks is shared by all sessions.
 */
#define SIERRA_TAG_LOCKS_MAX 64

typedef struct SierraTagLock
{
	uint64 key;
	LOCKMODE mode;
} SierraTagLock;

typedef struct SierraTagLocks
{
	int count;
	int capacity;
	SierraTagLock *locks; /* by ascending key, each key once */
} SierraTagLocks;

/*
 * Does the append of these calls need the lock of the whole store?  It does if the locks of tags
 * cannot keep out everything that a condition depends on, or if they are too many.
 */
extern bool sierra_tag_locks_need_store(const SierraNewEvent *events, const SierraAppendCall *calls,
										int ncalls);

/* The same for one call, with this condition or NULL. */
extern bool sierra_tag_locks_call_needs_store(const SierraNewEvent *events, int count,
											  const SierraCondition *condition);

/*
 * Waits for the tag locks of the calls, in ascending order, and fills *locks with them.
 * Comes before the partition locks.  Takes none if the store is locked as a whole.
 */
extern void sierra_tag_locks_take(const SierraStore *store, const SierraNewEvent *events,
								  const SierraAppendCall *calls, int ncalls, SierraTagLocks *locks);

/* Releases those that sierra_tag_locks_take() took; nothing may have been written. */
extern void sierra_tag_locks_release(const SierraStore *store, const SierraTagLocks *locks);

#endif /* SIERRA_TAG_LOCKS_H */
