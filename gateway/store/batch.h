/*
 * batch.h
 *		The statement of a batch of appends: its parameters, and its result.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/append.h"
#include "store/statement.h"

/* Why one append of a batch was refused. */
typedef struct AppendRefusal
{
	StoreError error;
	/* the texts of error, one after the other */
	char texts[];
} AppendRefusal;

extern const StoreStatement batch_statement;

/* Appends are linked by next. */
extern void batch_parameters(const StoreAppend *first, uint32_t expected_version_type,
							 uint32_t json_type, StoreParameters *parameters);

/*
 * Takes the outcome of each event from the value that the statement returns
 * (src/append/append_each_sql.c has its layout).  False if it is not such a value.
 */
extern bool batch_outcome(StoreAppend *first, const char *value, size_t length);

#endif /* STORE_BATCH_H */
