/*
 * writer.h
 *		One connection that commits appends in batches.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "store/append.h"

typedef struct StoreWriter StoreWriter;

extern StoreWriter *writer_create(StoreRole *role, int number);
extern void writer_destroy(StoreWriter *writer);
extern void writer_add(StoreWriter *writer, StoreAppend *append);
extern const StoreFacts *writer_facts(const StoreWriter *writer);

#endif /* STORE_WRITER_H */
