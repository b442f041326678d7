/*
 * pattern.c
 *		Stream patterns: '*' stands for any bytes, also none; all else is literal.
 *
 * Pure.  Bytes are compared, which is exact for UTF-8: no byte of '*' occurs
 * inside another character.
 */
#include "postgres.h"

#include "base/pattern.h"

/*
 * Greedy with one point of return: only the last '*' ever has to give back
 * what it took, so the time is at most the product of the two lengths.
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
