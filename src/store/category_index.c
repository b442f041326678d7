/*
 * category_index.c
 *		The category index of a partition: is there one, and can it be used?
 *
 * The owner of a store can make any index, and an expression in it can call a function of
 * the owner.  So an index is used only if its expression is the one that is expected,
 * node by node.  It is read from the catalog, since the relation cache would evaluate it.
 *
 * To compare expressions takes some time, so the session keeps the answer for each index
 * that it has looked at.  The columns of an index never change, but its OID can become
 * that of another one, so the answer is forgotten when the relation cache says that
 * the index has changed.
 */
#include "postgres.h"

#include "store/category_index.h"
#include "store/event.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

typedef struct Answer
{
	Oid index; /* hash key */
	bool fits;
} Answer;

static HTAB *answers = NULL;

/* How many answers a session keeps. */
#define ANSWERS_MAX 65536

static void
forget_all(void)
{
	HASH_SEQ_STATUS scan;
	Answer *answer;

	hash_seq_init(&scan, answers);
	while ((answer = hash_seq_search(&scan)) != NULL)
		(void) hash_search(answers, &answer->index, HASH_REMOVE, NULL);
}

/* relid is InvalidOid for "everything". */
static void
relation_changed(Datum arg, Oid relid)
{
	if (OidIsValid(relid))
		(void) hash_search(answers, &relid, HASH_REMOVE, NULL);
	else
		forget_all();
}

static void
create_cache(void)
{
	HASHCTL ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(Answer);
	ctl.hcxt = CacheMemoryContext;
	answers =
		hash_create("sierra_es category indexes", 128, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

/* split_part(stream_id, '-', 1), as CREATE INDEX stores it */
static Node *
expected_expression(void)
{
	Var *stream = makeVar(1, Anum_events_stream_id, TEXTOID, -1, C_COLLATION_OID, 0);
	Const *dash =
		makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum("-"), false, false);
	Const *first = makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(1), false, true);

	return (Node *) makeFuncExpr(F_SPLIT_PART, TEXTOID, list_make3(stream, dash, first),
								 C_COLLATION_OID, C_COLLATION_OID, COERCE_EXPLICIT_CALL);
}

static bool
has_expression(HeapTuple tuple)
{
	bool isnull;
	Datum stored = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indexprs, &isnull);
	List *expressions;

	if (isnull)
		return false;
	expressions = castNode(List, stringToNode(TextDatumGetCString(stored)));
	return list_length(expressions) == 1 && equal(linitial(expressions), expected_expression());
}

/* Ascending, by the default operators, and text by its bytes. */
static bool
has_order(HeapTuple tuple)
{
	int2vector *options;
	oidvector *collations;
	oidvector *classes;
	bool isnull;

	options = (int2vector *) DatumGetPointer(
		SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indoption, &isnull));
	collations = (oidvector *) DatumGetPointer(
		SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indcollation, &isnull));
	classes = (oidvector *) DatumGetPointer(
		SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass, &isnull));
	return options->values[0] == 0 && options->values[1] == 0 &&
		   collations->values[0] == C_COLLATION_OID &&
		   get_opclass_family(classes->values[0]) == TEXT_BTREE_FAM_OID &&
		   get_opclass_input_type(classes->values[0]) == TEXTOID &&
		   get_opclass_family(classes->values[1]) == INTEGER_BTREE_FAM_OID &&
		   get_opclass_input_type(classes->values[1]) == INT8OID;
}

static bool
look_up(Oid index)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	bool fits;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	fits = form->indnatts == 2 && form->indnkeyatts == 2 && !form->indisexclusion &&
		   form->indkey.values[0] == InvalidAttrNumber &&
		   form->indkey.values[1] == Anum_events_partition_sequence &&
		   heap_attisnull(tuple, Anum_pg_index_indpred, NULL) && has_order(tuple) &&
		   has_expression(tuple);
	ReleaseSysCache(tuple);
	return fits;
}

bool
sierra_is_category_index(Oid index)
{
	Answer *answer;
	bool fits;

	if (answers == NULL)
		create_cache();
	answer = hash_search(answers, &index, HASH_FIND, NULL);
	if (answer != NULL)
		return answer->fits;
	fits = look_up(index);
	if (hash_get_num_entries(answers) >= ANSWERS_MAX)
		forget_all();
	answer = hash_search(answers, &index, HASH_ENTER, NULL);
	answer->fits = fits;
	return fits;
}

/* The planner asks the same before it uses an index. */
static bool
is_usable(Relation index)
{
	Form_pg_index form = index->rd_index;

	return index->rd_rel->relam == BTREE_AM_OID && form->indisvalid &&
		   (!form->indcheckxmin ||
			TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
								  TransactionXmin));
}

Relation
sierra_category_index_open(Relation partition)
{
	List *indexes = RelationGetIndexList(partition);
	Relation found = NULL;
	ListCell *cell;

	foreach (cell, indexes)
	{
		if (!sierra_is_category_index(lfirst_oid(cell)))
			continue;
		found = index_open(lfirst_oid(cell), AccessShareLock);
		if (is_usable(found))
			break;
		index_close(found, AccessShareLock);
		found = NULL;
	}
	list_free(indexes);
	return found;
}
