/*
 * byte_reader.h
 *		Takes numbers and strings from bytes, which may end too early.
 *
 * Numbers are in network byte order.  From where there are too few bytes on, each function
 * returns zero or an empty string, and is_short is true.
 */
#ifndef BASE_BYTE_READER_H
#define BASE_BYTE_READER_H

#include <arpa/inet.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/uuid.h"

typedef struct ByteReader
{
	const char *at;
	const char *end;
	bool is_short;
} ByteReader;

/* Are there this many bytes?  If not, none is left. */
static inline bool
bytes_check(ByteReader *reader, size_t length)
{
	if ((size_t) (reader->end - reader->at) >= length)
		return true;
	reader->is_short = true;
	reader->at = reader->end;
	return false;
}

/* The next bytes, without a zero byte at their end; "" if there are too few. */
static inline const char *
bytes_take(ByteReader *reader, size_t length)
{
	const char *taken = reader->at;

	if (!bytes_check(reader, length))
		return "";
	reader->at += length;
	return taken;
}

static inline void
bytes_copy(ByteReader *reader, void *to, size_t length)
{
	if (!bytes_check(reader, length))
	{
		memset(to, 0, length);
		return;
	}
	memcpy(to, reader->at, length);
	reader->at += length;
}

static inline int64_t
bytes_int8(ByteReader *reader)
{
	uint64_t value;

	bytes_copy(reader, &value, sizeof(value));
	return (int64_t) be64toh(value);
}

static inline uint32_t
bytes_int4(ByteReader *reader)
{
	uint32_t value;

	bytes_copy(reader, &value, sizeof(value));
	return ntohl(value);
}

static inline uint8_t
bytes_int1(ByteReader *reader)
{
	uint8_t value;

	bytes_copy(reader, &value, sizeof(value));
	return value;
}

static inline void
bytes_uuid(ByteReader *reader, Uuid *uuid)
{
	bytes_copy(reader, uuid, sizeof(*uuid));
}

/* A string that ends with a zero byte. */
static inline const char *
bytes_text(ByteReader *reader)
{
	const char *end = memchr(reader->at, '\0', (size_t) (reader->end - reader->at));

	return bytes_take(reader, end != NULL ? (size_t) (end - reader->at) + 1 : SIZE_MAX);
}

#endif /* BASE_BYTE_READER_H */
