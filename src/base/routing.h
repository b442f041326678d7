/*
 * routing.h
 *		Partition keys, routing and event ids.
 *
 * They are the same bit for bit as in SierraDB; the rules are those of
 * crates/sierradb/src/id.rs and bucket.rs there.
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
 * The UUID that the text spells; if it does not spell one, sierra_uuid_of_name()
 * of the text.  A UUID is spelled with 32 hex digits, with or without the hyphens
 * of the form 8-4-4-4-12.  It may be in braces or follow "urn:uuid:".
 */
extern void sierra_uuid_of_key_text(const char *text, int length, pg_uuid_t *key);

/* Bits 61..46 of a key or an event id: 0..65535. */
extern uint16 sierra_uuid_hash(const pg_uuid_t *uuid);

/* The id of the partition of a key, in a store with this number of partitions. */
static inline int
sierra_uuid_partition(const pg_uuid_t *uuid, int partitions)
{
	return sierra_uuid_hash(uuid) % partitions;
}

/*
 * Fills ids with count new ids, ordered by time: 48 bits Unix milliseconds of now,
 * version 7, 12 random bits, variant 2, the hash (16 bits), 46 random bits.
 */
extern void sierra_uuid_generate(TimestampTz now, uint16 hash, pg_uuid_t *ids, int count);

/* Can a server have generated this id?  Version and variant are those of generated ids. */
static inline bool
sierra_uuid_may_be_generated(const pg_uuid_t *id)
{
	return (id->data[6] & 0xf0) == 0x70 && (id->data[8] & 0xc0) == 0x80;
}

/*
 * Does the id show that its event is in this partition?  Every generated id does; one that a
 * client chose can.
 */
static inline bool
sierra_uuid_leads_to(const pg_uuid_t *id, int partition, int partitions)
{
	return sierra_uuid_may_be_generated(id) && sierra_uuid_partition(id, partitions) == partition;
}

/* Replaces the hash in a generated id. */
extern void sierra_uuid_set_hash(pg_uuid_t *id, uint16 hash);

static inline bool
sierra_uuid_equal(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN) == 0;
}

/* The canonical spelling, palloc'd. */
extern char *sierra_uuid_text(const pg_uuid_t *uuid);

#endif /* SIERRA_ROUTING_H */
