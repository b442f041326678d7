/*
 * error.h
 *		Why a request to PostgreSQL has failed.
 */
#ifndef STORE_ERROR_H
#define STORE_ERROR_H

#include <libpq-fe.h>

typedef enum StoreFailure
{
	STORE_REFUSED, /* PostgreSQL answered with an error: nothing was done */
	STORE_DOWN,	   /* there was no connection: nothing was done */
	STORE_UNKNOWN  /* the connection was lost; an append may have been stored */
} StoreFailure;

/* None of the texts is NULL. */
typedef struct StoreError
{
	StoreFailure failure;
	/* of the error, or of the last attempt to connect; "" if none is known */
	char sqlstate[6];
	const char *message;
	const char *detail;
	/* SE001: stream, version it is at (or empty), version that was expected */
	const char *table;
	const char *column;
	const char *constraint;
} StoreError;

/* The fields of an error of the server; they live as long as result. */
extern void store_error_of_result(const PGresult *result, StoreError *error);

#endif /* STORE_ERROR_H */
