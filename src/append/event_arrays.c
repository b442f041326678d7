/*
 * event_arrays.c
 *		Events as arrays: the arguments of emappend() and eappend_each().
 */
#include "postgres.h"

#include "append/event_arrays.h"
#include "base/args.h"
#include "base/json_slice.h"
#include "store/event_tags.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static const char *const array_names[SIERRA_ARRAYS] = {
	"stream_ids", "event_names", "payloads",	  "metadatas", "expected_versions",
	"event_ids",  "timestamps",	 "payload_bytes", "tags"};

SierraArray
sierra_array_get(FunctionCallInfo fcinfo, int arg, const char *name, int *count)
{
	SierraArray taken = {NULL, NULL};
	ArrayType *array;
	int length;
	int16 typlen;
	bool typbyval;
	char typalign;

	if (PG_ARGISNULL(arg))
		return taken;
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must have one dimension", name));
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, &taken.values,
					  &taken.nulls, &length);
	if (*count < 0)
		*count = length;
	else if (length != *count)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("all arrays must have the same length"),
				errdetail("\"%s\" has %d elements, \"stream_ids\" has %d.", name, length, *count),
				errhint("Pass NULL for an array that is not needed, or a null element for a value "
						"that is not there."));
	return taken;
}

void
sierra_event_arrays_get(FunctionCallInfo fcinfo, int first, SierraArray *arrays, int *count)
{
	*count = -1;
	for (int i = 0; i < SIERRA_ARRAYS; i++)
	{
		if (i <= SIERRA_ARRAY_EVENT_NAMES)
			sierra_require_argument(fcinfo, first + i, array_names[i]);
		arrays[i] = sierra_array_get(fcinfo, first + i, array_names[i], count);
	}
}

void
sierra_event_arrays_free(SierraArray *arrays)
{
	for (int i = 0; i < SIERRA_ARRAYS; i++)
	{
		if (arrays[i].values == NULL)
			continue;
		pfree(arrays[i].values);
		pfree(arrays[i].nulls);
	}
}

static Datum
required_value(const SierraArray *arrays, int array, int i)
{
	if (!sierra_array_has(&arrays[array], i))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"%s\" must not contain nulls", array_names[array]),
				errdetail("Element %d is null.", i + 1),
				array == SIERRA_ARRAY_EXPECTED_VERSIONS
					? errhint("Use 'empty' for a stream that must not have events (esver() is NULL "
							  "for it), 'any' for no expectation.")
					: 0);
	return arrays[array].values[i];
}

static void *
optional_varlena(const SierraArray *array, int i)
{
	return sierra_array_has(array, i) ? PG_DETOAST_DATUM_PACKED(array->values[i]) : NULL;
}

static ArrayType *
tags_of(const SierraArray *array, int i)
{
	SierraJsonReader reader;

	if (!sierra_array_has(array, i))
		return NULL;
	reader = sierra_json_begin(DatumGetTextPP(array->values[i]));
	return sierra_tags_of_json(sierra_json_read(&reader));
}

void
sierra_event_arrays_read(const SierraArray *arrays, int i, SierraNewEvent *event)
{
	event->stream_id = DatumGetTextPP(required_value(arrays, SIERRA_ARRAY_STREAM_IDS, i));
	event->event_name = DatumGetTextPP(required_value(arrays, SIERRA_ARRAY_EVENT_NAMES, i));
	event->payload = optional_varlena(&arrays[SIERRA_ARRAY_PAYLOADS], i);
	event->metadata = optional_varlena(&arrays[SIERRA_ARRAY_METADATAS], i);
	event->payload_bytes = optional_varlena(&arrays[SIERRA_ARRAY_PAYLOAD_BYTES], i);
	event->tags = tags_of(&arrays[SIERRA_ARRAY_TAGS], i);
	event->expected = SIERRA_EXPECT_ANY;
	if (arrays[SIERRA_ARRAY_EXPECTED_VERSIONS].values != NULL)
		event->expected = DatumGetInt64(required_value(arrays, SIERRA_ARRAY_EXPECTED_VERSIONS, i));
	event->has_event_id = sierra_array_has(&arrays[SIERRA_ARRAY_EVENT_IDS], i);
	if (event->has_event_id)
		event->event_id = *DatumGetUUIDP(arrays[SIERRA_ARRAY_EVENT_IDS].values[i]);
	event->has_timestamp = sierra_array_has(&arrays[SIERRA_ARRAY_TIMESTAMPS], i);
	if (event->has_timestamp)
		event->timestamp = DatumGetTimestampTz(arrays[SIERRA_ARRAY_TIMESTAMPS].values[i]);
}
