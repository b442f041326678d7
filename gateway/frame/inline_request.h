/*
 * inline_request.h
 *		Splits a line into words, with the quoting rules of Redis.
 */
#ifndef FRAME_INLINE_REQUEST_H
#define FRAME_INLINE_REQUEST_H

#include "frame/request.h"

/*
 * Fills request with the words of line, which the request keeps.  Returns NULL, or what
 * is wrong.  A blank line gives no words.
 *
 * Words are separated by blanks.  A word may be in quotes: within "..." a backslash
 * begins \n, \r, \t, \b, \a, \xHH or the character itself; within '...' only \' is special.
 */
extern const char *inline_request_split(char *line, size_t length, const RequestLimits *limits,
										Request *request);

#endif /* FRAME_INLINE_REQUEST_H */
