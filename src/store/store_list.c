/*
 * store_list.c
 *		How many events stores have, for event_stores() and event_partitions().
 *
 * event_stores() looks at the stores of all owners, which its caller did not choose.
 * A query over their tables would run code of these owners with the rights of the
 * caller: the planner evaluates expressions of indexes and statistics, and policies
 * hold.  So the numbers are taken from the catalogs and from the end of an index, and
 * rights are checked here.  The table "events" itself is never opened.
 *
 * An owner must not delay the list with a lock either.  So event_stores() takes
 * locks only if they are free; event_partitions(), whose caller names the store, waits.
 * Locks are released at once: a store has up to 1024 partitions with several indexes.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/guc.h"
#include "store/early_release.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/run_as.h"
#include "store/scan.h"
#include "store/table_shape.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "common/relpath.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(sierra_store_numbers);
PG_FUNCTION_INFO_V1(sierra_event_partitions);

typedef struct Partition
{
	Oid relid;
	bool has_id;
	int32 id;
	int64 sequence; /* of the newest event, or SIERRA_NONE */
	int64 position;
} Partition;

static int64
add(int64 a, int64 b)
{
	int64 sum;

	if (pg_add_s64_overflow(a, b, &sum))
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("a number of the event store is damaged"),
				errdetail("The number of events is too large for a bigint."),
				errhint("Restore the store from a dump; everify() shows what else is wrong."));
	return sum;
}

/* False if the lock is not free, and the caller does not wait for it. */
static bool
lock_relation(Oid relid, bool wait)
{
	if (!wait)
		return ConditionalLockRelationOid(relid, AccessShareLock);
	LockRelationOid(relid, AccessShareLock);
	return true;
}

/* The bytes of all files of a relation that is locked. */
static int64
bytes_of_files(Oid relid)
{
	int64 bytes = 0;

	for (int fork = 0; fork <= MAX_FORKNUM; fork++)
		bytes += DatumGetInt64(DirectFunctionCall2(pg_relation_size, ObjectIdGetDatum(relid),
												   CStringGetTextDatum(forkNames[fork])));
	return bytes;
}

/*
 * Adds what pg_total_relation_size() returns, which would wait for each lock: the bytes
 * of a relation, of its indexes and of its TOAST table.  False if a lock is not free.
 */
static bool
add_bytes(Oid relid, bool wait, int64 *bytes)
{
	bool complete = true;
	List *indexes = NIL;
	Relation rel;
	ListCell *cell;

	if (!lock_relation(relid, wait))
		return false;
	rel = try_relation_open(relid, NoLock);
	if (rel != NULL)
	{
		*bytes = add(*bytes, bytes_of_files(relid));
		if (rel->rd_rel->relhasindex)
			indexes = RelationGetIndexList(rel);
		foreach (cell, indexes)
			complete = complete && add_bytes(lfirst_oid(cell), wait, bytes);
		if (OidIsValid(rel->rd_rel->reltoastrelid))
			complete = complete && add_bytes(rel->rd_rel->reltoastrelid, wait, bytes);
		relation_close(rel, NoLock);
	}
	UnlockRelationOid(relid, AccessShareLock);
	return complete;
}

/*
 * Opens the index that sorts events by their sequence.  NULL if a lock is not free;
 * raises SE005 if there is no such index.
 */
static Relation
open_sequence_index(Relation rel, bool wait)
{
	List *indexes = RelationGetIndexList(rel);
	bool missed = false;
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index;

		if (!lock_relation(lfirst_oid(cell), wait))
		{
			missed = true;
			continue;
		}
		index = index_open(lfirst_oid(cell), NoLock);
		if (sierra_shape_is_index(index, &sierra_partition_shape.indexes[SIERRA_INDEX_SEQUENCE]))
			return index;
		index_close(index, AccessShareLock);
	}
	if (!missed)
		sierra_shape_report_index(rel, &sierra_partition_shape, SIERRA_INDEX_SEQUENCE);
	return NULL;
}

/* Finds the newest event of a partition; false if a lock is not free. */
static bool
find_newest(Partition *partition, const char *store, bool wait)
{
	Relation rel;
	Relation index;

	if (!lock_relation(partition->relid, wait))
		return false;
	rel = try_relation_open(partition->relid, NoLock);
	if (rel == NULL)
		sierra_store_report_missing(store);
	sierra_shape_check(rel, &sierra_partition_shape);
	index = open_sequence_index(rel, wait);
	if (index != NULL)
	{
		(void) sierra_scan_newest(rel, index, GetActiveSnapshot(), &partition->sequence,
								  &partition->position);
		index_close(index, AccessShareLock);
	}
	relation_close(rel, AccessShareLock);
	return index != NULL;
}

/* The first value in the bound of a partition; none for a default partition. */
static void
read_bound(Partition *partition)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(partition->relid));
	bool isnull = true;
	Datum value = (Datum) 0;
	PartitionBoundSpec *bound;

	if (HeapTupleIsValid(tuple))
		value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	if (!isnull)
	{
		bound = castNode(PartitionBoundSpec, stringToNode(TextDatumGetCString(value)));
		if (bound->listdatums != NIL)
		{
			Const *first = linitial_node(Const, bound->listdatums);

			partition->has_id = !first->constisnull && first->consttype == INT4OID;
			if (partition->has_id)
				partition->id = DatumGetInt32(first->constvalue);
		}
	}
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
}

/* Those without a number come last. */
static int
compare_partitions(const void *a, const void *b)
{
	const Partition *left = a;
	const Partition *right = b;

	if (left->has_id != right->has_id)
		return left->has_id ? -1 : 1;
	if (left->id != right->id)
		return left->id < right->id ? -1 : 1;
	return 0;
}

/* The attached partitions by their numbers. */
static Partition *
list_partitions(Oid events, const char *store, int *count)
{
	List *children = find_inheritance_children(events, NoLock);
	Partition *partitions = palloc0(sizeof(Partition) * Max(list_length(children), 1));
	ListCell *cell;

	*count = 0;
	if (list_length(children) > SIERRA_PARTITIONS_MAX)
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("event store \"%s\" has too many partitions", store),
				errdetail("%d partitions are attached; a store has at most %d.",
						  list_length(children), SIERRA_PARTITIONS_MAX),
				errhint("Detach those that do not belong to it."));
	foreach (cell, children)
	{
		Partition *partition = &partitions[(*count)++];

		partition->relid = lfirst_oid(cell);
		read_bound(partition);
	}
	qsort(partitions, *count, sizeof(Partition), compare_partitions);
	return partitions;
}

/*
 * The table of events of a store.  Raises 42501 unless the current user may read all
 * events, or is a monitor.
 */
static Oid
find_events(const char *store, Oid *schema)
{
	bool monitor = sierra_run_as_monitor();
	Oid events;
	AclResult result;

	sierra_flush_seen();

	/* The second one also checks USAGE. */
	*schema = monitor ? get_namespace_oid(store, true) : LookupExplicitNamespace(store, true);
	events = OidIsValid(*schema) ? get_relname_relid("events", *schema) : InvalidOid;
	if (!OidIsValid(events))
		sierra_store_report_missing(store);
	if (monitor)
		return events;
	result = pg_class_aclcheck(events, GetUserId(), ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, "events");
	if (check_enable_rls(events, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("cannot count events under row-level security"),
				errdetail("A policy of table %s.events holds for role \"%s\".", store,
						  GetUserNameFromId(GetUserId(), false)),
				errhint("Call it as the owner of the store."));
	return events;
}

/* The bytes of a whole store, without what follows or is derived from events. */
static bool
find_bytes(Oid schema, const Partition *partitions, int count, int64 *bytes)
{
	static const char *const companions[] = {"stream_keys", "event_ids", "event_tags"};

	*bytes = 0;
	for (int i = 0; i < count; i++)
	{
		if (!add_bytes(partitions[i].relid, false, bytes))
			return false;
	}
	for (int i = 0; i < lengthof(companions); i++)
	{
		Oid relid = get_relname_relid(companions[i], schema);

		if (!OidIsValid(relid) || !add_bytes(relid, false, bytes))
			return false;
	}
	return true;
}

/*
 * For event_stores(): partitions, events, last_position, bytes.  All are NULL if a lock
 * that the number of events needs is not free, bytes if another one is not.
 */
Datum
sierra_store_numbers(PG_FUNCTION_ARGS)
{
	const char *store = NameStr(*PG_GETARG_NAME(0));
	Oid schema;
	Oid events = find_events(store, &schema);
	bool nulls[4] = {true, true, true, true};
	Datum values[4] = {0};
	int64 position = SIERRA_NONE;
	int64 number = 0;
	bool found = lock_relation(events, false);
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (found)
	{
		int count;
		int64 bytes;
		Partition *partitions = list_partitions(events, store, &count);

		for (int i = 0; i < count && found; i++)
		{
			found = find_newest(&partitions[i], store, false);
			number = add(number, add(partitions[i].sequence, 1));
			position = Max(position, partitions[i].position);
		}
		nulls[0] = nulls[1] = !found;
		nulls[2] = !found || position == SIERRA_NONE;
		nulls[3] = !found || !find_bytes(schema, partitions, count, &bytes);
		values[0] = Int32GetDatum(count);
		values[1] = Int64GetDatum(number);
		values[2] = Int64GetDatum(position);
		values[3] = nulls[3] ? (Datum) 0 : Int64GetDatum(bytes);
		UnlockRelationOid(events, AccessShareLock);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* The name of the store that is the first argument, or of that of sierra_es.store. */
static const char *
get_store(FunctionCallInfo fcinfo)
{
	static const Oid types[] = {NAMEOID};
	NameData *name = palloc0(sizeof(NameData));

	namestrcpy(name, PG_ARGISNULL(0) ? sierra_guc_store : NameStr(*PG_GETARG_NAME(0)));
	/* Raises SE005 unless there is a store of this name. */
	(void) OidFunctionCall1(sierra_extension_function("find_store", 1, types), NameGetDatum(name));
	return NameStr(*name);
}

/* event_partitions(): partition_id, events, last_sequence, last_position, bytes. */
Datum
sierra_event_partitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *store = get_store(fcinfo);
	Oid schema;
	Oid events = find_events(store, &schema);
	Partition *partitions;
	int count;

	InitMaterializedSRF(fcinfo, 0);
	(void) lock_relation(events, true);
	partitions = list_partitions(events, store, &count);
	for (int i = 0; i < count; i++)
	{
		Partition *partition = &partitions[i];
		bool nulls[5] = {false};
		Datum values[5];
		int64 bytes = 0;

		(void) find_newest(partition, store, true);
		(void) add_bytes(partition->relid, true, &bytes);
		values[0] = Int32GetDatum(partition->id);
		/* Numbers have no gaps, so the last one gives the number of events. */
		values[1] = Int64GetDatum(add(partition->sequence, 1));
		values[2] = Int64GetDatum(partition->sequence);
		values[3] = Int64GetDatum(partition->position);
		values[4] = Int64GetDatum(bytes);
		nulls[0] = !partition->has_id;
		nulls[2] = nulls[3] = partition->sequence == SIERRA_NONE;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	UnlockRelationOid(events, AccessShareLock);
	return (Datum) 0;
}
