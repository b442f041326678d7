/*
 * sha1.c
 *		SHA-1, as RFC 3174 describes it.
 *
 * The server has SHA-1 too, but through OpenSSL, which looks its algorithm up for each
 * digest: that takes several times as long as the digest of a short name, and each append
 * and each read of a stream needs one.
 */
#include "postgres.h"

#include "base/sha1.h"

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#define BLOCK 64

/* One step: f is the function of the round, k its constant. */
#define STEP(f, k, word)                                                                           \
	do                                                                                             \
	{                                                                                              \
		uint32 next = pg_rotate_left32(a, 5) + (f) + e + (k) + (word);                             \
                                                                                                   \
		e = d;                                                                                     \
		d = c;                                                                                     \
		c = pg_rotate_left32(b, 30);                                                               \
		b = a;                                                                                     \
		a = next;                                                                                  \
	} while (0)

static void
add_block(uint32 *state, const uint8 *block)
{
	uint32 w[80];
	uint32 a = state[0];
	uint32 b = state[1];
	uint32 c = state[2];
	uint32 d = state[3];
	uint32 e = state[4];

	for (int i = 0; i < 16; i++)
	{
		memcpy(&w[i], block + i * sizeof(uint32), sizeof(uint32));
		w[i] = pg_ntoh32(w[i]);
	}
	for (int i = 16; i < 80; i++)
		w[i] = pg_rotate_left32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

	for (int i = 0; i < 20; i++)
		STEP((b & c) | (~b & d), 0x5A827999, w[i]);
	for (int i = 20; i < 40; i++)
		STEP(b ^ c ^ d, 0x6ED9EBA1, w[i]);
	for (int i = 40; i < 60; i++)
		STEP((b & c) | (b & d) | (c & d), 0x8F1BBCDC, w[i]);
	for (int i = 60; i < 80; i++)
		STEP(b ^ c ^ d, 0xCA62C1D6, w[i]);

	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

void
sierra_sha1_begin(SierraSha1 *sha1)
{
	static const uint32 initial[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};

	memcpy(sha1->state, initial, sizeof(initial));
	sha1->length = 0;
}

void
sierra_sha1_add(SierraSha1 *sha1, const void *data, size_t length)
{
	const uint8 *at = data;

	while (length > 0)
	{
		size_t used = sha1->length % BLOCK;
		size_t take = Min(length, BLOCK - used);

		memcpy(sha1->block + used, at, take);
		sha1->length += take;
		at += take;
		length -= take;
		if (used + take == BLOCK)
			add_block(sha1->state, sha1->block);
	}
}

/* Pads with a 1 bit and zeros, so that the length in bits ends the last block. */
void
sierra_sha1_end(SierraSha1 *sha1, uint8 *digest)
{
	static const uint8 padding[BLOCK] = {0x80};
	uint64 bits = pg_hton64(sha1->length * 8);
	size_t used = sha1->length % BLOCK;

	sierra_sha1_add(sha1, padding, (used < 56 ? 56 : 56 + BLOCK) - used);
	sierra_sha1_add(sha1, &bits, sizeof(bits));
	for (int i = 0; i < 5; i++)
	{
		uint32 word = pg_hton32(sha1->state[i]);

		memcpy(digest + i * sizeof(word), &word, sizeof(word));
	}
}
