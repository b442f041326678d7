#include "store/error.h"

#include <stdio.h>

static const char *
field(const PGresult *result, int code)
{
	const char *value = PQresultErrorField(result, code);

	return value != NULL ? value : "";
}

void
store_error_of_result(const PGresult *result, StoreError *error)
{
	error->failure = STORE_REFUSED;
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", field(result, PG_DIAG_SQLSTATE));
	error->message = field(result, PG_DIAG_MESSAGE_PRIMARY);
	error->detail = field(result, PG_DIAG_MESSAGE_DETAIL);
	error->table = field(result, PG_DIAG_TABLE_NAME);
	error->column = field(result, PG_DIAG_COLUMN_NAME);
	error->constraint = field(result, PG_DIAG_CONSTRAINT_NAME);
	/* libpq's own errors have no fields */
	if (error->message[0] == '\0')
		error->message = PQresultErrorMessage(result);
}
