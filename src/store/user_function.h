/*
 * user_function.h
 *		Functions that users name: folds, upcasters, command handlers.
 */
#ifndef SIERRA_USER_FUNCTION_H
#define SIERRA_USER_FUNCTION_H

#include "postgres_ext.h"

/* By the text that sierra_require_function() writes down; raises 42883 if there is none. */
extern Oid sierra_function_of_text(const char *procedure);

/* A plain function with exactly these arguments that returns one such value? */
extern bool sierra_function_fits(Oid function, int nargs, const Oid *args, Oid result);

/* Raises 42501 unless the user may call it: calls from C check nothing. */
extern void sierra_function_check_execute(Oid function);

#endif /* SIERRA_USER_FUNCTION_H */
