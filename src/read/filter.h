/*
 * filter.h
 *		Filters by stream, event name and tag.
 */
#ifndef SIERRA_FILTER_H
#define SIERRA_FILTER_H

#include "executor/tuptable.h"
#include "utils/array.h"

/* The texts of an array argument.  If given is false, every event passes. */
typedef struct SierraFilter
{
	bool given;
	int count;
	text **items;
} SierraFilter;

/* What sierra_filter_passes() does if there is a filter. */
extern bool sierra_filter_matches(const SierraFilter *streams, const SierraFilter *event_names,
								  TupleTableSlot *slot);

/*
 * Does the event in the slot pass both filters?  The items of streams are patterns,
 * see pattern.h.
 */
static inline bool
sierra_filter_passes(const SierraFilter *streams, const SierraFilter *event_names,
					 TupleTableSlot *slot)
{
	return (!streams->given && !event_names->given) ||
		   sierra_filter_matches(streams, event_names, slot);
}

/* Does the event in the slot have one of these tags? */
extern bool sierra_filter_passes_tags(const SierraFilter *tags, TupleTableSlot *slot);

/*
 * The filter of an array of texts; its items may point into the array.  Raises 22004,
 * with this name of the argument or column, for an element that is null.
 */
extern SierraFilter sierra_filter_of_array(ArrayType *array, const char *name);

/*
 * The same of a column of the first row that the last sierra_query() returned, copied
 * into the current context.  NULL means no filter.
 */
extern SierraFilter sierra_filter_of_column(int column, const char *name);

#endif /* SIERRA_FILTER_H */
