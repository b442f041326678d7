/*
 * pack.h
 *		Numbers and bytes one behind the other, for programs that read them without libpq's rows.
 *
 * Numbers are in network byte order.  Each function returns the place behind what it has written.
 */
#ifndef SIERRA_PACK_H
#define SIERRA_PACK_H

#include "port/pg_bswap.h"

static inline char *
sierra_pack_int32(char *to, int32 value)
{
	uint32 network = pg_hton32((uint32) value);

	memcpy(to, &network, sizeof(network));
	return to + sizeof(network);
}

static inline char *
sierra_pack_int64(char *to, int64 value)
{
	uint64 network = pg_hton64((uint64) value);

	memcpy(to, &network, sizeof(network));
	return to + sizeof(network);
}

static inline char *
sierra_pack_bytes(char *to, const void *bytes, Size length)
{
	memcpy(to, bytes, length);
	return to + length;
}

#endif /* SIERRA_PACK_H */
