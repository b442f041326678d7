/*
 * statement.h
 *		A statement that connections prepare when they first need it, and its parameters.
 */
#ifndef STORE_STATEMENT_H
#define STORE_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

/* One static object per statement: connections know it by its address. */
typedef struct StoreStatement
{
	/* unique */
	const char *name;
	/* '@' is replaced by the schema of the extension and a dot: "SELECT @esver($1)" */
	const char *sql;
} StoreStatement;

#define STORE_MAX_PARAMETERS 16

/* Values in PostgreSQL's binary format, in the order in which they were added. */
typedef struct StoreParameters
{
	int count;
	/* of a value within data; -1: NULL */
	int lengths[STORE_MAX_PARAMETERS];
	size_t offsets[STORE_MAX_PARAMETERS];
	char *data;
	size_t used;
	size_t allocated;
} StoreParameters;

extern void parameters_free(StoreParameters *parameters);
extern void parameter_null(StoreParameters *parameters);
extern void parameter_int4(StoreParameters *parameters, int32_t value);
extern void parameter_int8(StoreParameters *parameters, int64_t value);
extern void parameter_bool(StoreParameters *parameters, bool value);
extern void parameter_uuid(StoreParameters *parameters, const Uuid *uuid);
/* Also json and bytea. */
extern void parameter_bytes(StoreParameters *parameters, const void *bytes, size_t length);
extern void parameter_text(StoreParameters *parameters, const char *text);

/*
 * An array of one dimension: begin with the number of elements, then add each, then end.
 * No elements makes an array without dimensions, as PostgreSQL writes it.
 */
extern void parameter_array_begin(StoreParameters *parameters, uint32_t element_type, int count);
extern void parameter_array_add(StoreParameters *parameters, const void *bytes, size_t length);
extern void parameter_array_add_null(StoreParameters *parameters);
extern void parameter_array_add_int4(StoreParameters *parameters, int32_t value);
extern void parameter_array_add_int8(StoreParameters *parameters, int64_t value);
extern void parameter_array_end(StoreParameters *parameters);

/* PostgreSQL's own OIDs, which never change. */
#define OID_BYTEA 17
#define OID_INT8 20
#define OID_INT4 23
#define OID_TEXT 25
#define OID_TIMESTAMPTZ 1184
#define OID_UUID 2950

#endif /* STORE_STATEMENT_H */
