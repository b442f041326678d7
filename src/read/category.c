/*
 * category.c
 *		The categories of a filter by stream: the text before the first '-' of a name.
 *
 * All streams that match the pattern 'order-*' or 'order-1*' have the category 'order'.
 * Those that match 'order*' can have any category that begins with these letters.
 */
#include "postgres.h"

#include "base/text.h"
#include "read/category.h"

#include "utils/builtins.h"

/* The category that all streams matching the pattern have, or NULL if they can have several. */
static text *
category_of(const text *pattern)
{
	const char *start = VARDATA_ANY(pattern);
	int length = VARSIZE_ANY_EXHDR(pattern);
	const char *star = memchr(start, '*', length);
	const char *dash = memchr(start, '-', star != NULL ? star - start : length);

	if (dash != NULL)
		return cstring_to_text_with_len(start, dash - start);
	return star == NULL ? cstring_to_text_with_len(start, length) : NULL;
}

static bool
contains(const SierraCategories *categories, const text *name)
{
	for (int i = 0; i < categories->count; i++)
	{
		if (sierra_text_equal(categories->names[i], name))
			return true;
	}
	return false;
}

bool
sierra_filter_categories(const SierraFilter *streams, SierraCategories *categories)
{
	categories->count = 0;
	if (!streams->given)
		return false;
	for (int i = 0; i < streams->count; i++)
	{
		text *name = category_of(streams->items[i]);

		if (name == NULL)
			return false;
		if (contains(categories, name))
			continue;
		if (categories->count == SIERRA_CATEGORIES_MAX)
			return false;
		categories->names[categories->count++] = name;
	}
	return true;
}
