#include "base/uuid.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "base/clock.h"

/* 219bd637-e279-53e9-9e2b-eabe5d9120cc, the UUIDv5 of DNS sierradb.tqwewe.com */
static const uint8_t namespace[16] = {0x21, 0x9b, 0xd6, 0x37, 0xe2, 0x79, 0x53, 0xe9,
									  0x9e, 0x2b, 0xea, 0xbe, 0x5d, 0x91, 0x20, 0xcc};

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

static bool
parse_digits(const char *text, size_t length, Uuid *uuid)
{
	bool hyphens = length == 36;
	size_t at = 0;

	if (!hyphens && length != 32)
		return false;
	for (int i = 0; i < 16; i++)
	{
		int high;
		int low;

		if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
			return false;
		high = hex_digit(text[at++]);
		low = hex_digit(text[at++]);
		if (high < 0 || low < 0)
			return false;
		uuid->bytes[i] = high << 4 | low;
	}
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool
uuid_parse(const char *text, size_t length, Uuid *uuid)
{
	static const char urn[] = "urn:uuid:";
	const size_t urn_length = sizeof(urn) - 1;

	while (length > 0 && is_blank(text[0]))
	{
		text++;
		length--;
	}
	while (length > 0 && is_blank(text[length - 1]))
		length--;

	if (length > 2 && text[0] == '{' && text[length - 1] == '}')
		return parse_digits(text + 1, length - 2, uuid);
	if (length > urn_length && strncasecmp(text, urn, urn_length) == 0)
		return parse_digits(text + urn_length, length - urn_length, uuid);
	return parse_digits(text, length, uuid);
}

/* The digits of each byte. */
#define ROW(high)                                                                                  \
	high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high \
		 "a" high "b" high "c" high "d" high "e" high "f"
static const char bytes_digits[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6")
	ROW("7") ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f");

static char *
put_digits(char *to, const uint8_t *bytes, int count)
{
	for (int i = 0; i < count; i++)
		memcpy(to + 2 * i, bytes_digits + 2 * bytes[i], 2);
	return to + 2 * count;
}

void
uuid_text(const Uuid *uuid, char *text)
{
	const uint8_t *bytes = uuid->bytes;

	text = put_digits(text, bytes, 4);
	*text++ = '-';
	text = put_digits(text, bytes + 4, 2);
	*text++ = '-';
	text = put_digits(text, bytes + 6, 2);
	*text++ = '-';
	text = put_digits(text, bytes + 8, 2);
	*text++ = '-';
	text = put_digits(text, bytes + 10, 6);
	*text = '\0';
}

/* RFC 9562, 5.5: SHA-1 over namespace and name, version 5, variant 2. */
void
uuid_of_name(const void *name, size_t length, Uuid *uuid)
{
	static EVP_MD_CTX *context;
	static EVP_MD *sha1;
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (context == NULL)
	{
		context = EVP_MD_CTX_new();
		/* EVP_sha1() would be looked for in each call */
		sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	}
	if (context == NULL || sha1 == NULL || !EVP_DigestInit_ex(context, sha1, NULL) ||
		!EVP_DigestUpdate(context, namespace, sizeof(namespace)) ||
		!EVP_DigestUpdate(context, name, length) || !EVP_DigestFinal_ex(context, digest, NULL))
		abort();
	memcpy(uuid->bytes, digest, sizeof(uuid->bytes));
	uuid->bytes[6] = (uuid->bytes[6] & 0x0f) | 0x50;
	uuid->bytes[8] = (uuid->bytes[8] & 0x3f) | 0x80;
}

void
uuid_of_key(const char *text, size_t length, Uuid *uuid)
{
	if (!uuid_parse(text, length, uuid))
		uuid_of_name(text, length, uuid);
}

uint16_t
uuid_hash(const Uuid *uuid)
{
	uint64_t low = 0;

	for (int i = 8; i < 16; i++)
		low = low << 8 | uuid->bytes[i];
	return low >> 46 & 0xffff;
}

/* From a pool: a system call for a thousand bytes costs about as much as for 16. */
static void
random_bytes(uint8_t *bytes, size_t count)
{
	static uint8_t pool[256];
	static size_t left;

	while (count > 0)
	{
		size_t take;

		if (left == 0)
		{
			/* at most 256 bytes are never cut off by a signal */
			if (getrandom(pool, sizeof(pool), 0) != (ssize_t) sizeof(pool))
				abort();
			left = sizeof(pool);
		}
		take = count < left ? count : left;
		memcpy(bytes, pool + sizeof(pool) - left, take);
		bytes += take;
		left -= take;
		count -= take;
	}
}

void
uuid_generate(uint16_t hash, Uuid *uuid)
{
	uint64_t msecs = (uint64_t) clock_unix_msecs();
	uint8_t *bytes = uuid->bytes;

	random_bytes(bytes, 16);
	for (int i = 0; i < 6; i++)
		bytes[i] = msecs >> (40 - 8 * i);
	bytes[6] = (bytes[6] & 0x0f) | 0x70;
	/* variant 2, then the 16 bits of the hash, then random bits */
	bytes[8] = 0x80 | hash >> 10;
	bytes[9] = hash >> 2;
	bytes[10] = (bytes[10] & 0x3f) | (hash & 3) << 6;
}

void
uuid_random(Uuid *uuid)
{
	random_bytes(uuid->bytes, 16);
	uuid->bytes[6] = (uuid->bytes[6] & 0x0f) | 0x40;
	uuid->bytes[8] = (uuid->bytes[8] & 0x3f) | 0x80;
}
