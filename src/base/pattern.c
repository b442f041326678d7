/*
 * pattern.c
 *		Stream patterns: '*' matches any number of bytes, also zero; every other byte
 *		matches itself.
 *
 * Comparing bytes is exact for UTF-8, because the byte of '*' never occurs inside
 * another character.
 */
#include "postgres.h"

#include "base/pattern.h"

/*
 * Each '*' first matches nothing.  Where the text does not match after it, we
 * return to the last '*' and let it match one byte more.  Returning to an earlier
 * '*' is never needed, so the time is at most the product of the two lengths.
 */
bool
sierra_pattern_matches(const char *pattern, int pattern_length, const char *text, int text_length)
{
	int p = 0;
	int t = 0;
	int star = -1;
	int resume = 0;

	while (t < text_length)
	{
		if (p < pattern_length && pattern[p] == '*')
		{
			star = p++;
			resume = t;
		}
		else if (p < pattern_length && pattern[p] == text[t])
		{
			p++;
			t++;
		}
		else if (star >= 0)
		{
			p = star + 1;
			t = ++resume;
		}
		else
			return false;
	}
	while (p < pattern_length && pattern[p] == '*')
		p++;
	return p == pattern_length;
}
