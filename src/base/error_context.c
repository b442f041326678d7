/*
 * error_context.c
 *		Keeps the extension's own functions out of the context of errors.
 *
 * A function that users call is often made of private ones, in schema
 * sierra_internal.  PL/pgSQL and SPI add a line of context for each of them and
 * for each statement that calls one.  These lines say nothing to users and would
 * hide the line that names their own function, so they are taken out before the
 * message goes to the client and into the log.
 */
#include "postgres.h"

#include "base/error_context.h"

#include "utils/elog.h"

static emit_log_hook_type next_emit_log_hook = NULL;

/* Does a line of context begin with a statement, in quotes, that can have several lines? */
static bool
begins_statement(const char *entry)
{
	static const char *const beginnings[] = {"SQL statement \"", "SQL expression \"",
											 "PL/pgSQL assignment \"", "PL/pgSQL expression \""};

	for (int i = 0; i < lengthof(beginnings); i++)
	{
		if (strncmp(entry, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	}
	return false;
}

/* The end of the entry that begins here. */
static const char *
end_of_entry(const char *entry)
{
	const char *line = strchr(entry, '\n');

	while (line != NULL && begins_statement(entry) && line[-1] != '"')
		line = strchr(line + 1, '\n');
	return line != NULL ? line : entry + strlen(entry);
}

/* Is it about a private function?  Lines that a handler adds of its own stay. */
static bool
is_private(const char *entry, const char *end)
{
	const char *name = strstr(entry, "sierra_internal.");

	if (name == NULL || name >= end)
		return false;
	return begins_statement(entry) || strncmp(entry, "PL/pgSQL function ", 18) == 0 ||
		   strncmp(entry, "SQL function \"", 14) == 0;
}

/* Takes private entries out, in place. */
static char *
without_private_entries(char *context)
{
	const char *from = context;
	char *to = context;

	while (*from != '\0')
	{
		const char *end = end_of_entry(from);

		if (!is_private(from, end))
		{
			if (to > context)
				*to++ = '\n';
			memmove(to, from, end - from);
			to += end - from;
		}
		from = *end == '\0' ? end : end + 1;
	}
	*to = '\0';
	return to > context ? context : NULL;
}

static void
emit_log(ErrorData *error)
{
	if (error->context != NULL && strstr(error->context, "sierra_internal.") != NULL)
		error->context = without_private_entries(error->context);
	if (next_emit_log_hook != NULL)
		next_emit_log_hook(error);
}

void
sierra_error_context_install(void)
{
	next_emit_log_hook = emit_log_hook;
	emit_log_hook = emit_log;
}
