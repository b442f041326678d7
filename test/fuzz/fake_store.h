/*
 * fake_store.h
 *		PostgreSQL, as fuzzers of the gateway see it: in place of store/link.c and store/connect.c.
 *
 * It answers when it is told to, with rows that the statements can have, or with errors, as a
 * generator of numbers decides.
 */
#ifndef FUZZ_FAKE_STORE_H
#define FUZZ_FAKE_STORE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum FakeMood
{
	FAKE_KIND,	 /* rows, always */
	FAKE_MIXED,	 /* rows and errors */
	FAKE_BROKEN, /* errors, always */
	FAKE_EMPTY	 /* as few rows as there can be */
} FakeMood;

extern void fake_store_begin(FakeMood mood, uint32_t seed, int partitions);
/* Answers something of each request that comes next; false if nothing was to be done. */
extern bool fake_store_turn(void);
/* Answers all logins: what has begun one cannot end before it. */
extern void fake_store_end_logins(void);
/* Requests that a client waits for. */
extern int fake_store_waiting(void);
/* All is closed. */
extern void fake_store_end(void);

#endif /* FUZZ_FAKE_STORE_H */
