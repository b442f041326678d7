/*
 * pack.h
 *		Reads a pack: many events as one value (src/read/event_pack.c has its layout).
 */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/byte_reader.h"
#include "store/event.h"

typedef struct StorePack
{
	ByteReader bytes;
	/* there are more events behind those of the pack */
	bool has_more;
	/* it is not a pack, or has been cut off */
	bool is_damaged;
	/* metadata of the event that was read last, if it was in an envelope */
	char *unwrapped;
} StorePack;

extern void pack_begin(StorePack *pack, const char *bytes, size_t length);
/*
 * Reads the next event.  Its strings are in the pack, and not followed by a zero byte, and
 * stay until the next call.  False: there are no more, or the pack is damaged.
 */
extern bool pack_next(StorePack *pack, StoreEvent *event);
extern void pack_end(StorePack *pack);

#endif /* STORE_PACK_H */
