/*
 * category.h
 *		The categories of a filter by stream.
 */
#ifndef SIERRA_CATEGORY_H
#define SIERRA_CATEGORY_H

#include "read/filter.h"

/* More categories than these are not looked up one by one. */
#define SIERRA_CATEGORIES_MAX 8

typedef struct SierraCategories
{
	int count;
	text *names[SIERRA_CATEGORIES_MAX]; /* each once */
} SierraCategories;

/*
 * Finds the categories of all streams that the filter can let pass.  False if it can let
 * streams of any category pass, or of too many.
 */
extern bool sierra_filter_categories(const SierraFilter *streams, SierraCategories *categories);

#endif /* SIERRA_CATEGORY_H */
