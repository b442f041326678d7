/*
 * batch.h
 *		The statement of a batch of appends: its parameters, and its rows.
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
/* A row is the outcome of one event. */
extern void batch_row(StoreAppend *append, AppendEvent *event, const PGresult *result, int row);

#endif /* STORE_BATCH_H */
