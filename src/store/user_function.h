/*
 * user_function.h
 *		Functions that users register: folds, upcasters, command handlers and so on.
 */
#ifndef SIERRA_USER_FUNCTION_H
#define SIERRA_USER_FUNCTION_H

#include "postgres_ext.h"

/*
 * The function that a text of sierra_internal.require_function() names; raises 42883 if
 * there is none.
 */
extern Oid sierra_function_of_text(const char *procedure);

/*
 * Is this a plain function (not an aggregate, not one that returns a set) with
 * exactly these arguments and this result?  False if it does not exist.
 */
extern bool sierra_function_fits(Oid function, int nargs, const Oid *args, Oid result);

/* Raises 42501 unless the current user may call it; calls from C do not check that. */
extern void sierra_function_check_execute(Oid function);

#endif /* SIERRA_USER_FUNCTION_H */
