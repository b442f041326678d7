/*
 * event_tags.h
 *		Tags: the texts that say what an event is about.
 *
 * An event has at most SIERRA_TAGS_MAX tags, each of 1 to SIERRA_NAME_MAX bytes without
 * control characters, none twice, in the order in which the client gave them.  An event
 * without tags has NULL, never an empty array.
 *
 * Table event_tags has a row for each tag of each event, and its only index has all
 * columns of the table.  The append writes these rows, see registry.h.
 */
#ifndef SIERRA_EVENT_TAGS_H
#define SIERRA_EVENT_TAGS_H

#include "base/json_slice.h"

#include "utils/array.h"

/* Columns of event_tags, and of its index. */
#define Anum_event_tags_tag 1
#define Anum_event_tags_position 2
#define Anum_event_tags_partition 3
#define Anum_event_tags_sequence 4
#define Natts_event_tags 4

/* How many tags an event can have. */
#define SIERRA_TAGS_MAX 32

/* Tags, taken apart. */
typedef struct SierraTags
{
	int count;
	Datum items[SIERRA_TAGS_MAX]; /* texts, which point into the array */
} SierraTags;

/*
 * The tags of an array as a client passes it, which may be the same array; NULL if it has
 * no elements.  Raises 22023 or 22004 unless the tags keep to the limits above.
 */
extern ArrayType *sierra_tags_of_array(ArrayType *array);

/*
 * The same of a JSON array of strings; NULL for "null" too.  The result is in the current
 * context.
 */
extern ArrayType *sierra_tags_of_json(SierraSlice json);

/*
 * Takes the tags of an event apart.  A value that does not keep to the limits, as the owner
 * of a store could have written it, has no tags.
 */
extern void sierra_tags_take_apart(ArrayType *array, SierraTags *tags);

/* Raises 22023 unless a single tag keeps to the limits. */
extern void sierra_tags_check_one(const text *tag);

#endif /* SIERRA_EVENT_TAGS_H */
