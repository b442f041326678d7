/*
 * pattern.h
 *		Stream patterns: '*' matches any number of bytes, also zero; every other byte
 *		matches itself.
 */
#ifndef SIERRA_PATTERN_H
#define SIERRA_PATTERN_H

/* Does the whole text match the pattern?  Neither of them needs a NUL at its end. */
extern bool sierra_pattern_matches(const char *pattern, int pattern_length, const char *text,
								   int text_length);

#endif /* SIERRA_PATTERN_H */
