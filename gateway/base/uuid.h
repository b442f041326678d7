/*
 * uuid.h
 *		UUIDs, and SierraDB's routing: the same bit for bit as src/base/routing.h of the extension.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37

typedef struct Uuid
{
	uint8_t bytes[16];
} Uuid;

/*
 * Reads 32 hex digits, with the hyphens of the form 8-4-4-4-12 or without, in braces or
 * behind "urn:uuid:", with blanks around it.
 */
extern bool uuid_parse(const char *text, size_t length, Uuid *uuid);
/* Writes 36 characters and a zero byte. */
extern void uuid_text(const Uuid *uuid, char *text);
/* The version 5 UUID of the name in SierraDB's namespace. */
extern void uuid_of_name(const void *name, size_t length, Uuid *uuid);
/* The UUID that the text spells, or else that of the name. */
extern void uuid_of_key(const char *text, size_t length, Uuid *uuid);
/* Bits 61..46. */
extern uint16_t uuid_hash(const Uuid *uuid);
static inline int
uuid_partition(const Uuid *key, int partitions)
{
	return uuid_hash(key) % partitions;
}
/* A new id of an event: ordered by time, with the hash of the partition key in it. */
extern void uuid_generate(uint16_t hash, Uuid *uuid);
/* A random one, version 4. */
extern void uuid_random(Uuid *uuid);

#endif /* BASE_UUID_H */
