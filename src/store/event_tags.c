/*
 * event_tags.c
 *		Tags: the texts that say what an event is about.
 */
#include "postgres.h"

#include "base/text.h"
#include "store/event.h"
#include "store/event_tags.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_are_tags);

void
sierra_tags_check_one(const text *tag)
{
	sierra_event_check_name("a tag", tag);
}

/* The position of an item that one before it equals, or -1. */
static int
find_repeated(const SierraTags *tags)
{
	for (int i = 1; i < tags->count; i++)
	{
		for (int k = 0; k < i; k++)
		{
			if (sierra_text_equal(DatumGetTextPP(tags->items[i]), DatumGetTextPP(tags->items[k])))
				return i;
		}
	}
	return -1;
}

static void
refuse_count(int count)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("an event has at most %d tags", SIERRA_TAGS_MAX),
			errdetail("There are %d.", count),
			errhint("Tag an event with what decisions are about; put the rest into the payload "
					"or the metadata."));
}

static void
check_tags(const SierraTags *tags)
{
	int repeated = find_repeated(tags);

	for (int i = 0; i < tags->count; i++)
		sierra_tags_check_one(DatumGetTextPP(tags->items[i]));
	if (repeated >= 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("an event must not have the same tag twice"),
				errdetail("The tag is \"%s\".", TextDatumGetCString(tags->items[repeated])),
				errhint("Pass each tag once."));
}

/* So that tags[1] is the first one; '[5:6]={a,b}' is an array too. */
static ArrayType *
with_first_subscript_1(ArrayType *array)
{
	ArrayType *copy;

	if (ARR_LBOUND(array)[0] == 1)
		return array;
	copy = palloc(VARSIZE(array));
	memcpy(copy, array, VARSIZE(array));
	ARR_LBOUND(copy)[0] = 1;
	return copy;
}

ArrayType *
sierra_tags_of_array(ArrayType *array)
{
	SierraTags tags;
	int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (count == 0)
		return NULL;
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must have one dimension", "tags"));
	if (array_contains_nulls(array))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"%s\" must not contain nulls", "tags"));
	if (count > SIERRA_TAGS_MAX)
		refuse_count(count);
	sierra_tags_take_apart(array, &tags);
	check_tags(&tags);
	return with_first_subscript_1(array);
}

static void
refuse_json(const char *detail)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("tags must be a JSON array of strings"), errdetail("%s", detail),
			errhint("Pass tags such as [\"course:1\", \"student:7\"]."));
}

ArrayType *
sierra_tags_of_json(SierraSlice json)
{
	SierraJsonReader reader = {json.start, json.start + json.length};
	SierraTags tags = {0};
	int count = 0;

	if (sierra_slice_is(json, "null"))
		return NULL;
	if (!sierra_json_accept(&reader, '['))
		refuse_json("The value is not an array.");
	while (!sierra_json_accept(&reader, ']'))
	{
		SierraSlice tag = sierra_json_read(&reader);

		if (*tag.start != '"')
			refuse_json(psprintf("Element %d of the array is not a string.", count));
		if (count < SIERRA_TAGS_MAX)
			tags.items[tags.count++] =
				PointerGetDatum(sierra_slice_text(sierra_slice_unescape(tag)));
		count++;
		(void) sierra_json_accept(&reader, ',');
	}
	if (count == 0)
		return NULL;
	if (count > SIERRA_TAGS_MAX)
		refuse_count(count);
	check_tags(&tags);
	return construct_array(tags.items, tags.count, TEXTOID, -1, false, TYPALIGN_INT);
}

/* Is this an array of texts whose elements can be taken apart? */
static bool
has_limits(ArrayType *array)
{
	return ARR_NDIM(array) == 1 && ARR_ELEMTYPE(array) == TEXTOID && !array_contains_nulls(array) &&
		   ARR_DIMS(array)[0] <= SIERRA_TAGS_MAX;
}

void
sierra_tags_take_apart(ArrayType *array, SierraTags *tags)
{
	char *at = ARR_DATA_PTR(array);

	tags->count = has_limits(array) ? ARR_DIMS(array)[0] : 0;
	for (int i = 0; i < tags->count; i++)
	{
		at = (char *) att_align_pointer(at, TYPALIGN_INT, -1, at);
		tags->items[i] = PointerGetDatum(at);
		at += VARSIZE_ANY(at);
	}
}

/* For everify(): does an event that has been stored have tags as an append stores them? */
Datum
sierra_are_tags(PG_FUNCTION_ARGS)
{
	ArrayType *array;
	SierraTags tags;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(true);
	array = PG_GETARG_ARRAYTYPE_P(0);
	sierra_tags_take_apart(array, &tags);
	if (tags.count == 0)
		PG_RETURN_BOOL(false);
	for (int i = 0; i < tags.count; i++)
	{
		if (!sierra_event_is_name(DatumGetTextPP(tags.items[i])))
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(find_repeated(&tags) < 0);
}
