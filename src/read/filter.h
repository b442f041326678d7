/*
 * filter.h
 *		Which events a reader wants, by stream and by name.
 */
#ifndef SIERRA_FILTER_H
#define SIERRA_FILTER_H

#include "executor/tuptable.h"
#include "utils/array.h"

/* Texts of an array argument; a filter that is not given lets everything pass. */
typedef struct SierraFilter
{
	bool given;
	int count;
	text **items;
} SierraFilter;

/* Does the event in the slot pass both filters? */
extern bool sierra_filter_passes(const SierraFilter *streams, const SierraFilter *event_names,
								 TupleTableSlot *slot);

/*
 * The filter that an array of texts says; its items are copies.  A null element
 * raises 22004, with the name of the argument or column.
 */
extern SierraFilter sierra_filter_of_array(ArrayType *array, const char *name);

#endif /* SIERRA_FILTER_H */
