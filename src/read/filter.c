/*
 * filter.c
 *		Filters by stream, event name and tag.
 */
#include "postgres.h"

#include "base/args.h"
#include "base/pattern.h"
#include "base/text.h"
#include "read/filter.h"
#include "store/event.h"
#include "store/event_query.h"
#include "store/query.h"
#include "store/scan.h"

#include "catalog/pg_type.h"

static bool
filter_passes_text(const SierraFilter *filter, TupleTableSlot *slot, AttrNumber column,
				   bool pattern)
{
	text *value;

	if (!filter->given)
		return true;
	value = sierra_slot_text(slot, column);
	for (int i = 0; i < filter->count; i++)
	{
		const text *item = filter->items[i];

		if (pattern ? sierra_pattern_matches(VARDATA_ANY(item), VARSIZE_ANY_EXHDR(item),
											 VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value))
					: sierra_text_equal(item, value))
			return true;
	}
	return false;
}

bool
sierra_filter_matches(const SierraFilter *streams, const SierraFilter *event_names,
					  TupleTableSlot *slot)
{
	return filter_passes_text(event_names, slot, Anum_events_event_name, false) &&
		   filter_passes_text(streams, slot, Anum_events_stream_id, true);
}

bool
sierra_filter_passes_tags(const SierraFilter *tags, TupleTableSlot *slot)
{
	return !tags->given || sierra_event_has_any_tag(slot, tags->items, tags->count);
}

SierraFilter
sierra_filter_of_array(ArrayType *array, const char *name)
{
	SierraFilter filter = {.given = true};

	filter.items = sierra_array_texts(array, &filter.count);
	for (int i = 0; i < filter.count; i++)
	{
		if (filter.items[i] == NULL)
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"%s\" must not contain nulls", name),
					errdetail("Element %d is null.", i + 1));
	}
	return filter;
}

SierraFilter
sierra_filter_of_column(int column, const char *name)
{
	SierraFilter none = {false, 0, NULL};
	bool isnull;
	Datum array = sierra_query_value(0, column, TEXTARRAYOID, &isnull);

	return isnull ? none : sierra_filter_of_array(DatumGetArrayTypePCopy(array), name);
}
