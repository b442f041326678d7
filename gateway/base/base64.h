/*
 * base64.h
 *		RFC 4648, section 4, with padding and without line ends.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

static inline size_t
base64_length(size_t length)
{
	return (length + 2) / 3 * 4;
}
/* Writes base64_length() characters. */
extern void base64_encode(const void *bytes, size_t length, char *to);
/*
 * Only what base64_encode() writes is decoded, so that text and bytes correspond one to one.
 * to may be text.
 */
extern bool base64_decode(const char *text, size_t length, char *to, size_t *decoded);

#endif /* BASE_BASE64_H */
