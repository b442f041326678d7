/*
 * text.h
 *		Comparing texts byte by byte.
 */
#ifndef SIERRA_TEXT_H
#define SIERRA_TEXT_H

#include "base/compat.h"

/* Do both have the same bytes? */
static inline bool
sierra_text_equal(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* Less than, equal to or greater than 0 as a is before, equal to or after b in COLLATE "C". */
static inline int
sierra_text_compare(const text *a, const text *b)
{
	int la = VARSIZE_ANY_EXHDR(a);
	int lb = VARSIZE_ANY_EXHDR(b);
	int order = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(la, lb));

	return order != 0 ? order : (la > lb) - (la < lb);
}

#endif /* SIERRA_TEXT_H */
