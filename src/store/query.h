/*
 * query.h
 *		Runs SQL on the tables that keep subscriptions and derived state.
 *
 * These statements run in the executor as the current user, so rights, row-level
 * security and triggers of the tables apply.
 */
#ifndef SIERRA_QUERY_H
#define SIERRA_QUERY_H

#include "store/store.h"

#define SIERRA_QUERY_ARGS_MAX 12

/*
 * A statement.  Each is a static variable, because its address is the key under
 * which the session keeps its plan.
 */
typedef struct SierraQuery
{
	const char *sql; /* each %s, at most six, is replaced by the schema of the store */
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

/* A column (from 1) of a row (from 0) of the last result. */
extern Datum sierra_query_value(uint64 row, int column, bool *isnull);

#endif /* SIERRA_QUERY_H */
