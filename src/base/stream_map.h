/*
 * stream_map.h
 *		A hash table from stream ids to a value that a caller keeps for each of them.
 *
 * lib/simplehash.h generates sierra_streams_create(), _insert(), _lookup() and
 * _destroy().  Keys are not copied, so they must live as long as the table.
 */
#ifndef SIERRA_STREAM_MAP_H
#define SIERRA_STREAM_MAP_H

#include "base/text.h"

#include "common/hashfn.h"
#include "utils/palloc.h"

typedef struct SierraStreamSlot
{
	const text *stream_id; /* hash key, not toasted */
	void *value;
	char status;
} SierraStreamSlot;

static inline uint32
sierra_stream_hash(const text *id)
{
	return hash_bytes((const unsigned char *) VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
}

#define SH_PREFIX sierra_streams
#define SH_ELEMENT_TYPE SierraStreamSlot
#define SH_KEY_TYPE const text *
#define SH_KEY stream_id
#define SH_HASH_KEY(tb, key) sierra_stream_hash(key)
#define SH_EQUAL(tb, a, b) sierra_text_equal(a, b)
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

#endif /* SIERRA_STREAM_MAP_H */
