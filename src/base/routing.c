/*
 * routing.c
 *		Partition keys, routing and event ids.
 *
 * Nothing here reads catalogs or relations, or needs a transaction.
 */
#include "postgres.h"

#include "base/routing.h"
#include "base/sha1.h"

#include "port/pg_bswap.h"
#include "utils/builtins.h"

/* 219bd637-e279-53e9-9e2b-eabe5d9120cc, the UUIDv5 of DNS sierradb.tqwewe.com */
static const uint8 sierra_namespace[UUID_LEN] = {0x21, 0x9b, 0xd6, 0x37, 0xe2, 0x79, 0x53, 0xe9,
												 0x9e, 0x2b, 0xea, 0xbe, 0x5d, 0x91, 0x20, 0xcc};

#define URN_PREFIX "urn:uuid:"

/*
 * Takes random bytes from a pool, and fills the pool from the system's generator
 * when it is empty.  A call of the generator costs about the same for the 32 bytes
 * of one append as for a thousand bytes.
 */
static void
take_random(void *bytes, size_t count)
{
	static uint8 pool[1024];
	static size_t left = 0;
	uint8 *at = bytes;

	while (count > 0)
	{
		size_t take;

		if (left == 0)
		{
			if (!pg_strong_random(pool, sizeof(pool)))
				ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate random values"));
			left = sizeof(pool);
		}
		take = Min(count, left);
		memcpy(at, pool + sizeof(pool) - left, take);
		at += take;
		left -= take;
		count -= take;
	}
}

/* RFC 9562, 5.5: SHA-1 over namespace and name, version 5, variant 2. */
void
sierra_uuid_of_name(const char *name, int length, pg_uuid_t *key)
{
	uint8 digest[SIERRA_SHA1_LENGTH];
	SierraSha1 sha1;

	sierra_sha1_begin(&sha1);
	sierra_sha1_add(&sha1, sierra_namespace, UUID_LEN);
	sierra_sha1_add(&sha1, name, length);
	sierra_sha1_end(&sha1, digest);

	memcpy(key->data, digest, UUID_LEN);
	key->data[6] = (key->data[6] & 0x0f) | 0x50;
	key->data[8] = (key->data[8] & 0x3f) | 0x80;
}

/* The value of a hex digit, or -1. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads 32 hex digits, with all hyphens of the form 8-4-4-4-12 or without any. */
static bool
parse_digits(const char *text, int length, pg_uuid_t *uuid)
{
	bool hyphens = (length == 36);
	int at = 0;

	if (!hyphens && length != 32)
		return false;

	for (int i = 0; i < UUID_LEN; i++)
	{
		int high;
		int low;

		if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
			return false;
		high = hex_digit(text[at++]);
		low = hex_digit(text[at++]);
		if (high < 0 || low < 0)
			return false;
		uuid->data[i] = (high << 4) | low;
	}
	return true;
}

void
sierra_uuid_of_key_text(const char *text, int length, pg_uuid_t *key)
{
	const char *digits = text;
	int ndigits = length;

	if (length > 2 && text[0] == '{' && text[length - 1] == '}')
	{
		digits = text + 1;
		ndigits = length - 2;
	}
	else if (length > (int) strlen(URN_PREFIX) &&
			 pg_strncasecmp(text, URN_PREFIX, strlen(URN_PREFIX)) == 0)
	{
		digits = text + strlen(URN_PREFIX);
		ndigits = length - strlen(URN_PREFIX);
	}

	if (!parse_digits(digits, ndigits, key))
		sierra_uuid_of_name(text, length, key);
}

uint16
sierra_uuid_hash(const pg_uuid_t *uuid)
{
	uint64 low;

	memcpy(&low, &uuid->data[8], sizeof(low));
	return (uint16) ((pg_ntoh64(low) >> 46) & 0xffff);
}

void
sierra_uuid_set_hash(pg_uuid_t *id, uint16 hash)
{
	uint64 low;

	memcpy(&low, &id->data[8], sizeof(low));
	low = pg_ntoh64(low) & ((UINT64CONST(1) << 46) - 1);
	low = pg_hton64(low | (UINT64CONST(2) << 62) | ((uint64) hash << 46));
	memcpy(&id->data[8], &low, sizeof(low));
}

void
sierra_uuid_generate(TimestampTz now, uint16 hash, pg_uuid_t *ids, int count)
{
	uint64 msecs = (uint64) (now / 1000 + SIERRA_UNIX_EPOCH_MSECS);

	take_random(ids, sizeof(pg_uuid_t) * count);

	for (int i = 0; i < count; i++)
	{
		uint64 high;

		memcpy(&high, &ids[i].data[0], sizeof(high));
		high = pg_ntoh64(high) & 0x0fff;
		high = pg_hton64((msecs << 16) | UINT64CONST(0x7000) | high);
		memcpy(&ids[i].data[0], &high, sizeof(high));
		sierra_uuid_set_hash(&ids[i], hash);
	}
}

char *
sierra_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}
