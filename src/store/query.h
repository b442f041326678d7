/*
 * query.h
 *		Runs SQL on the tables that keep subscriptions and derived state.
 *
 * These statements run in the executor as the current user, so rights, row-level
 * security and triggers of the tables apply.  A superuser runs them as the owner of
 * the store; see run_as.h.
 */
#ifndef SIERRA_QUERY_H
#define SIERRA_QUERY_H

#include "store/store.h"

#include "utils/timestamp.h"

#define SIERRA_QUERY_ARGS_MAX 13

/*
 * A statement.  Each is a static variable, because its address is the key under
 * which the session keeps its plan.
 */
typedef struct SierraQuery
{
	const char *sql; /* %1$s is replaced by the schema of the store */
	int nargs;
	Oid types[SIERRA_QUERY_ARGS_MAX];
} SierraQuery;

/*
 * Called before and after queries.  Their results are freed by
 * sierra_query_end().  The first returns the memory context that was current
 * before; copy there what is needed longer.
 */
extern MemoryContext sierra_query_begin(void);
extern void sierra_query_end(void);

/*
 * Runs the statement and returns the number of rows.  nulls may be NULL.  If
 * read_only, the statement uses the active snapshot.  Otherwise it uses a new
 * snapshot, which also sees what this transaction did so far.
 */
extern uint64 sierra_query(const SierraStore *store, const SierraQuery *query, Datum *values,
						   const bool *nulls, bool read_only);

/*
 * A column (from 1) of a row (from 0) of the last result, which must be of this
 * type: SE005 if it is of another, since an owner may alter any table.  What is
 * passed by reference points into the result.
 */
extern Datum sierra_query_value(uint64 row, int column, Oid type, bool *isnull);

/* The same of a column that must not be null either. */
extern Datum sierra_query_required(uint64 row, int column, Oid type);
extern int32 sierra_query_int4(uint64 row, int column);
extern int64 sierra_query_int8(uint64 row, int column);
extern bool sierra_query_bool(uint64 row, int column);
extern TimestampTz sierra_query_timestamptz(uint64 row, int column);
extern text *sierra_query_text(uint64 row, int column);
extern char *sierra_query_cstring(uint64 row, int column); /* palloc'd */

#endif /* SIERRA_QUERY_H */
