/*
 * event_arrays.h
 *		Events as arrays: the arguments of emappend() and eappend_each().
 */
#ifndef SIERRA_EVENT_ARRAYS_H
#define SIERRA_EVENT_ARRAYS_H

#include "store/event.h"

#include "fmgr.h"

/* The arrays, in the order of the arguments. */
enum
{
	SIERRA_ARRAY_STREAM_IDS,
	SIERRA_ARRAY_EVENT_NAMES,
	SIERRA_ARRAY_PAYLOADS,
	SIERRA_ARRAY_METADATAS,
	SIERRA_ARRAY_EXPECTED_VERSIONS,
	SIERRA_ARRAY_EVENT_IDS,
	SIERRA_ARRAY_TIMESTAMPS,
	SIERRA_ARRAY_PAYLOAD_BYTES,
	SIERRA_ARRAY_TAGS,
	SIERRA_ARRAYS
};

/* An array argument, taken apart. */
typedef struct SierraArray
{
	Datum *values; /* NULL: the argument is null */
	bool *nulls;
} SierraArray;

static inline bool
sierra_array_has(const SierraArray *array, int i)
{
	return array->values != NULL && !array->nulls[i];
}

/*
 * Takes an array apart.  If *count is negative, sets it to the length of the array.  Raises 22023
 * if the array has another length, or several dimensions.
 */
extern SierraArray sierra_array_get(FunctionCallInfo fcinfo, int arg, const char *name, int *count);

/*
 * Takes the arrays of the events apart, the first of which is this argument; stream_ids and
 * event_names must not be NULL.  Sets *count to their length.
 */
extern void sierra_event_arrays_get(FunctionCallInfo fcinfo, int first, SierraArray *arrays,
									int *count);

/* Frees what sierra_event_arrays_get() made; values that it points to stay. */
extern void sierra_event_arrays_free(SierraArray *arrays);

/* Fills an event from element i of the arrays; raises 22004 for a null that is not allowed. */
extern void sierra_event_arrays_read(const SierraArray *arrays, int i, SierraNewEvent *event);

#endif /* SIERRA_EVENT_ARRAYS_H */
