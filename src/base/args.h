/*
 * args.h
 *		Checks of the arguments of SQL functions.
 *
 * All raise 22004, with the argument's name, for a NULL that is not allowed.
 * All raise 22023, with the value, for a value that is out of bounds.
 */
#ifndef SIERRA_ARGS_H
#define SIERRA_ARGS_H

#include "fmgr.h"
#include "utils/array.h"

/* The argument must not be NULL. */
extern void sierra_require_argument(FunctionCallInfo fcinfo, int arg, const char *name);

/* The argument max_count, a bigint of at least 0.  NULL means no limit: PG_INT64_MAX. */
extern int64 sierra_arg_max_count(FunctionCallInfo fcinfo, int arg);

/* The argument max_count, an integer of at least 1. */
extern int64 sierra_arg_count(FunctionCallInfo fcinfo, int arg);

/* An interval from 0 to this number of days, in microseconds. */
extern int64 sierra_arg_usecs(FunctionCallInfo fcinfo, int arg, const char *name, int days);

/*
 * The elements of an array of texts; NULL for an element that is null.  The
 * result is palloc'd, but its elements may point into the array.  The array may
 * have any number of dimensions.
 */
extern text **sierra_array_texts(ArrayType *array, int *count);

#endif /* SIERRA_ARGS_H */
