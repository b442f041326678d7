/*
 * direct_insert.h
 *		Inserts rows into a table and its indexes without the executor.
 *
 *		result = sierra_direct_insert_open(rel);
 *		for each row:
 *			put it into the table (table_tuple_insert(), table_multi_insert())
 *			sierra_direct_insert_finish(result, slot, estate);
 *		ExecCloseIndices(result);
 */
#ifndef SIERRA_DIRECT_INSERT_H
#define SIERRA_DIRECT_INSERT_H

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/relcache.h"

/* Opens the indexes of a table that the caller has opened and locked to write to it. */
extern ResultRelInfo *sierra_direct_insert_open(Relation rel);

/*
 * For a row that is in the table now: makes its index entries, and queues its
 * AFTER ROW triggers.
 */
extern void sierra_direct_insert_finish(ResultRelInfo *result, TupleTableSlot *slot,
										EState *estate);

#endif /* SIERRA_DIRECT_INSERT_H */
