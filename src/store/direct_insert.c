/*
 * direct_insert.c
 *		Inserts rows into a table and its indexes without the executor.
 *
 * The apply worker of logical replication does the same, in
 * ExecSimpleRelationInsert().
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/direct_insert.h"

#include "commands/trigger.h"
#include "executor/executor.h"

ResultRelInfo *
sierra_direct_insert_open(Relation rel)
{
	ResultRelInfo *result = makeNode(ResultRelInfo);

	InitResultRelInfo(result, rel, 0, NULL, 0);
	ExecOpenIndices(result, false);
	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		IndexInfo *info = result->ri_IndexRelationInfo[i];

		/* The relation cache has simplified them, which the executor would do once more. */
		if (info->ii_Expressions != NIL)
			info->ii_ExpressionsState = ExecInitExprList(info->ii_Expressions, NULL);
	}
	return result;
}

void
sierra_direct_insert_finish(ResultRelInfo *result, TupleTableSlot *slot, EState *estate)
{
	/* indexes of deferrable constraints, which have to be checked later */
	List *recheck = sierra_compat_insert_index_tuples(result, slot, estate);

	if (result->ri_TrigDesc != NULL && result->ri_TrigDesc->trig_insert_after_row)
		ExecARInsertTriggers(estate, result, slot, recheck, NULL);
	list_free(recheck);
	ResetPerTupleExprContext(estate);
}
