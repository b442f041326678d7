/*
 * user_function_sql.c
 *		The SQL type sierra_function: a function that a caller names.
 *
 * A value is the OID of a function, as one of regprocedure is.  Its text may leave out
 * the types of the arguments if only one function that this extension could call has
 * this name.
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/extension.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(sierra_function_in);

/* Does the text have types of arguments: a parenthesis outside of double quotes? */
static bool
has_argument_types(const char *text)
{
	bool quoted = false;

	for (; *text != '\0'; text++)
	{
		if (*text == '"')
			quoted = !quoted;
		else if (*text == '(' && !quoted)
			return true;
	}
	return false;
}

/* Is this what regprocedureout() writes for a function that does not exist, or for none? */
static bool
is_oid(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return strcmp(text, "-") == 0 || (digits > 0 && text[digits] == '\0');
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

pg_noreturn static void
report_ambiguous(const char *text, List *functions)
{
	List *names = NIL;
	StringInfoData detail;
	ListCell *cell;

	foreach (cell, functions)
		names = lappend(names, format_procedure(lfirst_oid(cell)));
	list_sort(names, compare_names);
	initStringInfo(&detail);
	foreach (cell, names)
		appendStringInfo(&detail, "%s%s", cell == list_head(names) ? "" : ", ",
						 (char *) lfirst(cell));
	ereport(ERROR, errcode(ERRCODE_AMBIGUOUS_FUNCTION),
			errmsg("function name \"%s\" is not unique", text),
			errdetail("It is the name of %s.", detail.data),
			errhint("Pass the function with the types of its arguments, as they are shown here."));
}

/*
 * The functions whose first argument is a document, an event or events, as that of all
 * handlers is.  PostgreSQL has many others, with names that users may choose too.
 */
static List *
find_callable(FuncCandidateList candidates)
{
	Oid event = sierra_extension_event_type();
	Oid events = get_array_type(event);
	List *functions = NIL;

	for (; candidates != NULL; candidates = candidates->next)
	{
		Oid first = candidates->nargs > 0 ? candidates->args[0] : InvalidOid;

		if (first == JSONBOID || first == JSONOID || first == event || first == events)
			functions = lappend_oid(functions, candidates->oid);
	}
	return functions;
}

static Oid
function_of_name(const char *text)
{
	List *functions;
	FuncCandidateList candidates = FuncnameGetCandidates(sierra_compat_qualified_name(text), -1,
														 NIL, false, false, false, true);

	if (candidates == NULL)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_FUNCTION),
				errmsg("function \"%s\" does not exist", text),
				errhint("Pass it with its schema if that is not in search_path, and in double "
						"quotes if its name has capital letters."));
	if (candidates->next == NULL)
		return candidates->oid;
	functions = find_callable(candidates);
	if (list_length(functions) == 1)
		return linitial_oid(functions);
	if (functions == NIL)
	{
		for (; candidates != NULL; candidates = candidates->next)
			functions = lappend_oid(functions, candidates->oid);
	}
	report_ambiguous(text, functions);
}

Datum
sierra_function_in(PG_FUNCTION_ARGS)
{
	char *text = PG_GETARG_CSTRING(0);

	if (has_argument_types(text) || is_oid(text))
		return regprocedurein(fcinfo);
	PG_RETURN_OID(function_of_name(text));
}
