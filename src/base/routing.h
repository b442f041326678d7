/*
 * routing.h
 *		Partition keys, routing and event ids, bit for bit as SierraDB has them.
 *
 * Source of the rules: SierraDB, crates/sierradb/src/id.rs and bucket.rs.
 */
#ifndef SIERRA_ROUTING_H
#define SIERRA_ROUTING_H

#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Milliseconds from the Unix epoch, 1970-01-01, to PostgreSQL's, 2000-01-01. */
#define SIERRA_UNIX_EPOCH_MSECS                                                                    \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000))

/* The version 5 UUID of name (any bytes) in SierraDB's namespace. */
extern void sierra_uuid_of_name(const char *name, int length, pg_uuid_t *key);

/*
 * The UUID that text spells, or sierra_uuid_of_name() of text that spells
 * none.  Spellings: 8-4-4-4-12 or 32 hex digits, either in braces or behind
 * "urn:uuid:".
 */
extern void sierra_uuid_of_key_text(const char *text, int length, pg_uuid_t *key);

/* Bits 61..46 of a key or an event id: 0..65535. */
extern uint16 sierra_uuid_hash(const pg_uuid_t *uuid);

/* The partition of a key among so many: hash mod partitions. */
static inline int
sierra_uuid_partition(const pg_uuid_t *uuid, int partitions)
{
	return sierra_uuid_hash(uuid) % partitions;
}

/*
 * Fills ids with count fresh time-ordered ids: 48 bits Unix milliseconds of
 * now, version 7, 12 random bits, variant 2, the 16-bit hash, 46 random bits.
 */
extern void sierra_uuid_generate(TimestampTz now, uint16 hash, pg_uuid_t *ids, int count);

/* Puts another hash into a generated id. */
extern void sierra_uuid_set_hash(pg_uuid_t *id, uint16 hash);

static inline bool
sierra_uuid_equal(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN) == 0;
}

/* The canonical spelling, palloc'd. */
extern char *sierra_uuid_text(const pg_uuid_t *uuid);

#endif /* SIERRA_ROUTING_H */
