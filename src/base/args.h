/*
 * args.h
 *		Checks of the arguments of SQL functions.
 *
 * All raise 22004 for a NULL that is not allowed, with the argument's name, and
 * 22023 for a value that is out of bounds, with the value.
 */
#ifndef SIERRA_ARGS_H
#define SIERRA_ARGS_H

#include "fmgr.h"
#include "utils/array.h"

/* The argument must not be NULL. */
extern void sierra_require_argument(FunctionCallInfo fcinfo, int arg, const char *name);

/* The argument max_count, bigint from 0; NULL is no limit: PG_INT64_MAX. */
extern int64 sierra_arg_max_count(FunctionCallInfo fcinfo, int arg);

/* The argument max_count, integer from 1. */
extern int64 sierra_arg_count(FunctionCallInfo fcinfo, int arg);

/* An interval of 0 to this many days, in microseconds. */
extern int64 sierra_arg_usecs(FunctionCallInfo fcinfo, int arg, const char *name, int days);

/*
 * The elements of an array of texts, copied pointers into the array; NULL for a
 * null.  Any number of dimensions.
 */
extern text **sierra_array_texts(ArrayType *array, int *count);

#endif /* SIERRA_ARGS_H */
