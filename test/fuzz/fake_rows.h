/*
 * fake_rows.h
 *		The rows of each statement of the gateway, as fake_store.c gives them.
 */
#ifndef FUZZ_FAKE_ROWS_H
#define FUZZ_FAKE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/link.h"

/* Begins the numbers again. */
extern void fake_random_seed(uint32_t seed);
/* From 0 to limit - 1. */
extern uint32_t fake_random(uint32_t limit);
extern bool fake_chance(uint32_t of);
/* Few rows, and NULL where it can be. */
extern bool fake_is_empty;
extern int fake_partitions;
/* The last position of the store. */
extern int64_t fake_head;

/* Checks the parameters as PostgreSQL would, and answers. */
extern PGresult *fake_rows(const StoreRequest *request);

#endif /* FUZZ_FAKE_ROWS_H */
