/*
 * pattern.h
 *		Stream patterns: '*' stands for any bytes, also none; all else is literal.
 */
#ifndef SIERRA_PATTERN_H
#define SIERRA_PATTERN_H

/* Does the whole of text match the pattern?  Neither needs a final NUL. */
extern bool sierra_pattern_matches(const char *pattern, int pattern_length, const char *text,
								   int text_length);

#endif /* SIERRA_PATTERN_H */
