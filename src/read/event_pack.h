/*
 * event_pack.h
 *		Events as one value of bytes, for a program that reads many of them.
 *
 * A result row costs more than to read its event: the server and libpq look at each column
 * of each row.  The layout is at the top of event_pack.c.
 */
#ifndef SIERRA_EVENT_PACK_H
#define SIERRA_EVENT_PACK_H

#include "lib/stringinfo.h"

#include "read/sink.h"
#include "store/store.h"

typedef struct SierraEventPack
{
	SierraSink base;
	SierraSink *sink; /* where a read puts events: base, or row-level security in front of it */
	bool row_security;
	int64 remaining; /* how many more events may be packed */
	int max_bytes;	 /* no event is added to a pack of more bytes, but the first */
	bool has_more;	 /* an event did not get in */
	StringInfoData bytes;
} SierraEventPack;

extern void sierra_event_pack_begin(SierraEventPack *pack, const SierraStore *store,
									int64 max_count, int max_bytes);

/* Ends reading, and returns the pack. */
extern bytea *sierra_event_pack_end(SierraEventPack *pack);

#endif /* SIERRA_EVENT_PACK_H */
