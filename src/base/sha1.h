/*
 * sha1.h
 *		SHA-1, which partition keys are made of.
 */
#ifndef SIERRA_SHA1_H
#define SIERRA_SHA1_H

#define SIERRA_SHA1_LENGTH 20

typedef struct SierraSha1
{
	uint32 state[5];
	uint64 length; /* in bytes */
	uint8 block[64];
} SierraSha1;

extern void sierra_sha1_begin(SierraSha1 *sha1);
extern void sierra_sha1_add(SierraSha1 *sha1, const void *data, size_t length);
extern void sierra_sha1_end(SierraSha1 *sha1, uint8 *digest);

#endif /* SIERRA_SHA1_H */
