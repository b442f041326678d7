/*
 * put.h
 *		Pieces of replies, written to memory that has room for them.  Each returns its end.
 */
#ifndef FRAME_PUT_H
#define FRAME_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "base/uuid.h"

/* What a number, or the length of a string, needs: a type, the digits and the end of the line. */
#define PUT_NUMBER_SIZE (INT64_TEXT_SIZE + 3)
#define PUT_UUID_SIZE (UUID_TEXT_SIZE + 3)
/* Beside the bytes of the string. */
#define PUT_BULK_SIZE (PUT_NUMBER_SIZE + 2)

static inline char *
put_bytes(char *to, const void *bytes, size_t length)
{
	if (length > 0)
		memcpy(to, bytes, length);
	return to + length;
}

/* Of a string literal, the length of which the compiler knows. */
#define PUT_TEXT(to, literal) put_bytes(to, "" literal, sizeof(literal) - 1)

static inline char *
put_number(char *to, char type, int64_t value)
{
	*to++ = type;
	to += text_of_int64(value, to);
	return PUT_TEXT(to, "\r\n");
}

static inline char *
put_bulk(char *to, const void *bytes, size_t length)
{
	to = put_number(to, '$', (int64_t) length);
	to = put_bytes(to, bytes, length);
	return PUT_TEXT(to, "\r\n");
}

static inline char *
put_uuid(char *to, const Uuid *uuid)
{
	*to++ = '+';
	uuid_text(uuid, to);
	return PUT_TEXT(to + UUID_TEXT_SIZE - 1, "\r\n");
}

#endif /* FRAME_PUT_H */
