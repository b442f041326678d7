/*
 * plain_table.h
 *		Is a table of a store as create_event_store() makes it, so that a query over it runs
 *		no code of its owner?
 */
#ifndef SIERRA_PLAIN_TABLE_H
#define SIERRA_PLAIN_TABLE_H

#include "utils/relcache.h"

struct SierraTableShape;

/*
 * The first thing about a table, other than a missing column, through which the planner or the
 * executor would call functions that are not PostgreSQL's own, when its owner reads it.
 * NULL if there is none.  The table is locked.  constraint_exclusion must not be on.
 */
extern const char *sierra_table_foreign_code(Relation rel);

#endif /* SIERRA_PLAIN_TABLE_H */
