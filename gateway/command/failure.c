#include "command/failure.h"

#include <stdio.h>
#include <string.h>

typedef struct FailureCode
{
	/* a SQLSTATE, or the beginning of one */
	const char *sqlstate;
	const char *code;
} FailureCode;

/* The first that fits counts. */
static const FailureCode codes[] = {
	{"SE002", "DBOPFAILED"},  {"SE003", "INVALIDARG"}, {"SE005", "CLUSTERDOWN"},
	{"57P03", "LOADING"},	  {"57P0", "CLUSTERDOWN"}, {"57014", "TIMEOUT"},
	{"55P03", "TIMEOUT"},	  {"40001", "TRYAGAIN"},   {"40P01", "TRYAGAIN"},
	{"53300", "TRYAGAIN"},	  {"53", "TRYAGAIN"},	   {"25006", "READONLY"},
	{"42501", "NOPERM"},	  {"28", "NOPERM"},		   {"08", "CLUSTERDOWN"},
	{"3D000", "CLUSTERDOWN"}, {"22", "INVALIDARG"},	   {"", "DBOPFAILED"},
};

static const char *
find_code(const char *sqlstate)
{
	size_t i = 0;

	while (strncmp(sqlstate, codes[i].sqlstate, strlen(codes[i].sqlstate)) != 0)
		i++;
	return codes[i].code;
}

void
failure_text(const StoreError *error, char *text, size_t size)
{
	const char *gap = error->detail[0] != '\0' ? ": " : "";
	const char *code = error->sqlstate[0] != '\0' ? find_code(error->sqlstate) : "CLUSTERDOWN";

	switch (error->failure)
	{
		case STORE_DOWN:
			/* such as an extension that is not there */
			if (strcmp(code, "DBOPFAILED") == 0 || strcmp(code, "INVALIDARG") == 0)
				code = "CLUSTERDOWN";
			snprintf(text, size, "%s no connection to the store: %s", code, error->message);
			break;
		case STORE_UNKNOWN:
			snprintf(text, size,
					 "TRYAGAIN the connection to the store was lost, and it is not known whether "
					 "anything was stored; repeat with the same EVENT_ID: %s",
					 error->message);
			break;
		case STORE_REFUSED:
			snprintf(text, size, "%s %s%s%s", code, error->message, gap, error->detail);
			break;
	}
}

void
call_store_error(Call *call, const StoreError *error)
{
	char text[900];

	failure_text(error, text, sizeof(text));
	call_error(call, "%s", text);
}
