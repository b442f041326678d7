/*
 * query.h
 *		SQL on the tables that subscriptions and derived state are kept in.
 *
 * These statements run as the caller of the function, through the executor:
 * rights, row-level security and triggers of the tables hold.
 */
#ifndef SIERRA_QUERY_H
#define SIERRA_QUERY_H

#include "store/store.h"

#define SIERRA_QUERY_ARGS_MAX 12

/* A statement, defined once as a static; its address names its kept plan. */
typedef struct SierraQuery
{
	const char *sql; /* every %s stands for the schema of the store, at most six times */
	int nargs;
	Oid types[SIERRA_QUERY_ARGS_MAX];
} SierraQuery;

/*
 * Around queries and the use of their results, which live until the end.
 * Returns the context that was current before: what is to stay goes there.
 */
extern MemoryContext sierra_query_begin(void);
extern void sierra_query_end(void);

/*
 * Runs the statement and returns the number of rows.  nulls may be NULL.
 * read_only: with the active snapshot; else with a new one, after making the
 * effects of this transaction so far visible.
 */
extern uint64 sierra_query(const SierraStore *store, const SierraQuery *query, Datum *values,
						   const bool *nulls, bool read_only);

/* A column (from 1) of a row (from 0) of the last result. */
extern Datum sierra_query_value(uint64 row, int column, bool *isnull);

#endif /* SIERRA_QUERY_H */
