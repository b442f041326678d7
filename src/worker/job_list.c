/*
 * job_list.c
 *		What there is to run in a store.
 *
 * A runner looks at the stores of all owners, and then runs jobs of one.  The
 * planner would evaluate index expressions and predicates of the tables, which can
 * call functions of their owner, and these could leave something in the session.
 * So the tables are read here as they are.
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/complete.h"
#include "store/run_as.h"
#include "store/scan.h"
#include "store/table_shape.h"
#include "worker/job_list.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(sierra_list_jobs);

#define TIMERS_SIZE 1000
#define SAGAS_SIZE 100
#define PROJECTION_SIZE_MAX 10000
#define DEFAULT_RATE 40.0

/*
 * This number of the sagas that are due first is looked at to find their owners; the
 * sagas of an owner that has none among them are found later.
 */
#define SAGAS_LOOKED_AT 1000

/* A subscription of a projection has a shorter name. */
#define SUBSCRIPTION_MAX 256

/* A table that is being read. */
typedef struct Table
{
	Relation rel;
	const SierraTableShape *shape;
} Table;

const char *
sierra_job_kind_name(SierraJobKind kind)
{
	if (kind == SIERRA_JOB_TIMERS)
		return "timers";
	return kind == SIERRA_JOB_SAGAS ? "sagas" : "projection";
}

static Table
open_table(const SierraStore *store, const char *name)
{
	Table table = {.rel = table_open(sierra_store_table(store, name), AccessShareLock),
				   .shape = sierra_shape_of(name)};

	/* It can have been altered since the check. */
	sierra_shape_check(table.rel, table.shape);
	return table;
}

/* The number of a column. */
static AttrNumber
column(const Table *table, const char *name)
{
	for (int i = 0; i < table->shape->column_count; i++)
	{
		if (strcmp(table->shape->columns[i].name, name) == 0)
			return i + 1;
	}
	elog(ERROR, "table \"%s\" has no column \"%s\"", table->shape->name, name);
}

static Datum
get(const Table *table, TupleTableSlot *slot, const char *name, bool *isnull)
{
	return slot_getattr(slot, column(table, name), isnull);
}

static text *
get_text(const Table *table, TupleTableSlot *slot, const char *name)
{
	return sierra_slot_text(slot, column(table, name));
}

static bool
text_is(const text *value, const char *string)
{
	return VARSIZE_ANY_EXHDR(value) == strlen(string) &&
		   memcmp(VARDATA_ANY(value), string, strlen(string)) == 0;
}

static SierraListedJob *
make_job(SierraJobKind kind, Oid owner, TimestampTz due_at, int64 size)
{
	SierraListedJob *job = palloc0(sizeof(SierraListedJob));

	job->kind = kind;
	job->owner = owner;
	job->due_at = due_at;
	job->again_at = DT_NOEND;
	job->size = size;
	return job;
}

/* An index that sorts rows by a time, or NULL. */
static Relation
open_time_index(const Table *table, const char *name)
{
	AttrNumber attribute = column(table, name);
	Oid order = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	List *indexes = RelationGetIndexList(table->rel);
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		/* It is a B-tree, because its operator family belongs to B-trees. */
		if (index->rd_index->indisvalid && index->rd_index->indkey.values[0] == attribute &&
			index->rd_indoption[0] == 0 && index->rd_opfamily[0] == order)
			return index;
		index_close(index, AccessShareLock);
	}
	return NULL;
}

/* A scan of a whole table, in the order of a time if there is an index for that. */
typedef struct TimeScan
{
	bool ordered;
	SierraScan scan;
	TableScanDesc heap;
	TupleTableSlot *slot;
} TimeScan;

static void
begin_time_scan(TimeScan *scan, const Table *table, const char *name)
{
	Relation index = open_time_index(table, name);

	scan->ordered = index != NULL;
	if (index == NULL)
	{
		scan->slot = table_slot_create(table->rel, NULL);
		scan->heap = table_beginscan(table->rel, GetActiveSnapshot(), 0, NULL);
		return;
	}
	sierra_scan_begin(&scan->scan, table->rel, index, true, GetActiveSnapshot(), 0);
	sierra_scan_rescan(&scan->scan, NULL);
	scan->slot = scan->scan.slot;
}

static bool
next_of_time_scan(TimeScan *scan)
{
	if (scan->ordered)
		return sierra_scan_next(&scan->scan, ForwardScanDirection);
	CHECK_FOR_INTERRUPTS();
	return table_scan_getnextslot(scan->heap, ForwardScanDirection, scan->slot);
}

static void
end_time_scan(TimeScan *scan)
{
	if (scan->ordered)
	{
		sierra_scan_end(&scan->scan);
		return;
	}
	table_endscan(scan->heap);
	ExecDropSingleTupleTableSlot(scan->slot);
}

static List *
add_timers(List *jobs, const SierraStore *store, Oid owner)
{
	Table timers = open_table(store, "timers");
	TimestampTz first = DT_NOEND;
	TimeScan scan;

	begin_time_scan(&scan, &timers, "run_at");
	while (next_of_time_scan(&scan))
	{
		bool isnull;
		Datum run_at = get(&timers, scan.slot, "run_at", &isnull);

		if (!isnull)
			first = Min(first, DatumGetTimestampTz(run_at));
		if (scan.ordered)
			break;
	}
	end_time_scan(&scan);
	table_close(timers.rel, NoLock);
	if (first == DT_NOEND)
		return jobs;
	return lappend(jobs, make_job(SIERRA_JOB_TIMERS, owner, first, TIMERS_SIZE));
}

/* The role in the row of a version of a saga; InvalidOid if there is none. */
static Oid
find_definer(const Table *table, const text *name, int32 version)
{
	Relation index = sierra_shape_open_index(table->rel, table->shape, 0);
	SierraScan scan;
	ScanKeyData key;
	Oid found = InvalidOid;

	sierra_scan_begin(&scan, table->rel, index, true, GetActiveSnapshot(), 1);
	sierra_scan_key_text(&key, 1, name);
	sierra_scan_rescan(&scan, &key);
	while (!OidIsValid(found) && sierra_scan_next(&scan, ForwardScanDirection))
	{
		bool isnull;
		Datum owner = get(table, scan.slot, "owner", &isnull);

		if (!isnull && sierra_slot_int4(scan.slot, column(table, "version")) == version)
			found = DatumGetObjectId(owner);
	}
	sierra_scan_end(&scan);
	return found;
}

/* The job of an owner's sagas among the jobs, or NULL. */
static SierraListedJob *
find_sagas_of(List *jobs, const char *owner)
{
	ListCell *cell;

	foreach (cell, jobs)
	{
		SierraListedJob *job = lfirst(cell);

		if (job->kind == SIERRA_JOB_SAGAS && strcmp(job->name, owner) == 0)
			return job;
	}
	return NULL;
}

/* What belongs to a role that is gone fails as the store's owner. */
static Oid
runs_as(Oid owner, Oid store_owner)
{
	return sierra_role_exists(owner) ? owner : store_owner;
}

/* Sagas of different owners are different jobs. */
static List *
add_saga(List *jobs, Oid owner, Oid store_owner, TimestampTz run_at)
{
	char *name = psprintf("%u", owner);
	SierraListedJob *job = find_sagas_of(jobs, name);

	if (job == NULL)
	{
		job = make_job(SIERRA_JOB_SAGAS, runs_as(owner, store_owner), run_at, SAGAS_SIZE);
		strlcpy(job->name, name, SIERRA_JOB_NAME_MAX);
		jobs = lappend(jobs, job);
	}
	job->due_at = Min(job->due_at, run_at);
	return jobs;
}

static List *
add_sagas(List *jobs, const SierraStore *store, Oid store_owner)
{
	Table instances = open_table(store, "saga_instances");
	Table sagas = open_table(store, "sagas");
	TimeScan scan;
	int count = 0;

	begin_time_scan(&scan, &instances, "run_at");
	while (count < SAGAS_LOOKED_AT && next_of_time_scan(&scan))
	{
		bool isnull;
		Datum run_at = get(&instances, scan.slot, "run_at", &isnull);
		Oid owner;

		if (isnull)
			continue;
		owner = find_definer(&sagas, get_text(&instances, scan.slot, "saga"),
							 sierra_slot_int4(scan.slot, column(&instances, "version")));
		if (OidIsValid(owner))
			jobs = add_saga(jobs, owner, store_owner, DatumGetTimestampTz(run_at));
		count++;
	}
	end_time_scan(&scan);
	table_close(sagas.rel, NoLock);
	table_close(instances.rel, NoLock);
	return jobs;
}

/* When the first failed event of a subscription is to be tried again. */
static TimestampTz
find_retry(const Table *streams, const text *subscription)
{
	Relation index = sierra_shape_open_index(streams->rel, streams->shape, 0);
	TimestampTz first = DT_NOEND;
	SierraScan scan;
	ScanKeyData key;

	sierra_scan_begin(&scan, streams->rel, index, true, GetActiveSnapshot(), 1);
	sierra_scan_key_text(&key, 1, subscription);
	sierra_scan_rescan(&scan, &key);
	while (sierra_scan_next(&scan, ForwardScanDirection))
	{
		bool isnull;
		Datum retry_at = get(streams, scan.slot, "retry_at", &isnull);

		if (!isnull && text_is(get_text(streams, scan.slot, "state"), "retrying"))
			first = Min(first, DatumGetTimestampTz(retry_at));
	}
	sierra_scan_end(&scan);
	return first;
}

/* When the first failed event of each subscription that was looked at is tried again. */
typedef struct Retry
{
	char subscription[SUBSCRIPTION_MAX]; /* hash key; the rest is zero */
	TimestampTz at;
} Retry;

static HTAB *
create_retries(void)
{
	HASHCTL ctl = {
		.keysize = SUBSCRIPTION_MAX, .entrysize = sizeof(Retry), .hcxt = CurrentMemoryContext};

	return hash_create("sierra_es retries", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * find_retry(), once for each subscription: nothing prevents an owner from giving the
 * same one to many projections.
 */
static TimestampTz
find_retry_once(HTAB *retries, const Table *streams, const text *subscription)
{
	char key[SUBSCRIPTION_MAX] = {0};
	bool found;
	Retry *retry;

	if (VARSIZE_ANY_EXHDR(subscription) >= SUBSCRIPTION_MAX)
		return DT_NOEND;
	text_to_cstring_buffer(subscription, key, SUBSCRIPTION_MAX);
	retry = hash_search(retries, key, HASH_ENTER, &found);
	if (!found)
		retry->at = find_retry(streams, subscription);
	return retry->at;
}

/* The same rule as projection_due_at() in SQL; false if it does not run by itself. */
static bool
find_due(const Table *table, TupleTableSlot *slot, TimestampTz *due_at)
{
	text *mode = get_text(table, slot, "mode");
	text *state = get_text(table, slot, "state");
	bool isnull;
	bool live = DatumGetBool(get(table, slot, "live", &isnull));
	Datum retry_at;

	(void) get(table, slot, "subscription", &isnull);
	if (isnull || !(text_is(mode, "background") || (text_is(mode, "inline") && !live)) ||
		!(text_is(state, "running") || text_is(state, "retrying")))
		return false;
	retry_at = get(table, slot, "retry_at", &isnull);
	*due_at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(retry_at);
	return true;
}

/*
 * The number of events that a projection gets at a time depends on its rate, so that
 * a slow handler gives way to others after about a quarter of a second.
 */
static int64
find_size(const Table *table, TupleTableSlot *slot)
{
	bool isnull;
	double rate = DatumGetFloat8(get(table, slot, "rate", &isnull));
	double size = (isnull || !(rate > 0) ? DEFAULT_RATE : rate) / 4;

	return (int64) Min(Max(size, 1), PROJECTION_SIZE_MAX);
}

static SierraListedJob *
make_projection_job(const Table *table, TupleTableSlot *slot, TimestampTz due_at, Oid store_owner)
{
	bool isnull;
	Oid owner = DatumGetObjectId(get(table, slot, "owner", &isnull));
	SierraListedJob *job = make_job(SIERRA_JOB_PROJECTION, runs_as(owner, store_owner), due_at,
									find_size(table, slot));

	text_to_cstring_buffer(get_text(table, slot, "projection"), job->name, SIERRA_JOB_NAME_MAX);
	job->version = sierra_slot_int4(slot, column(table, "version"));
	job->row =
		DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull));
	return job;
}

static List *
add_projections(List *jobs, const SierraStore *store, Oid store_owner, int max_count)
{
	Table table = open_table(store, "projections");
	Table streams = open_table(store, "subscription_streams");
	TupleTableSlot *slot = table_slot_create(table.rel, NULL);
	TableScanDesc scan = table_beginscan(table.rel, GetActiveSnapshot(), 0, NULL);
	HTAB *retries = create_retries();
	TimestampTz due_at;

	while (max_count > 0 && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		SierraListedJob *job;

		CHECK_FOR_INTERRUPTS();
		if (!find_due(&table, slot, &due_at))
			continue;
		job = make_projection_job(&table, slot, due_at, store_owner);
		job->again_at = find_retry_once(retries, &streams, get_text(&table, slot, "subscription"));
		jobs = lappend(jobs, job);
		max_count--;
	}
	hash_destroy(retries);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(streams.rel, NoLock);
	table_close(table.rel, NoLock);
	return jobs;
}

List *
sierra_job_list(const SierraStore *store, int max_projections)
{
	Oid owner = sierra_relation_owner(store->events);
	List *jobs = add_timers(NIL, store, owner);

	jobs = add_sagas(jobs, store, owner);
	return add_projections(jobs, store, owner, max_projections);
}

/* Whoever may read the tables may also see what the list says about them. */
static void
check_rights(const SierraStore *store)
{
	static const char *const tables[] = {"timers", "saga_instances", "sagas", "projections",
										 "subscription_streams"};

	for (int i = 0; i < lengthof(tables); i++)
	{
		Oid relid = sierra_store_table(store, tables[i]);
		AclResult result = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_TABLE, tables[i]);
		if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
			ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot list the jobs of store \"%s\" under row-level security",
						   NameStr(store->name)),
					errdetail("A policy of its table %s applies to role \"%s\".", tables[i],
							  GetUserNameFromId(GetUserId(), false)));
	}
}

/* For run_event_jobs(): kind, name, version, due_at, again_at, size, row_version. */
Datum
sierra_list_jobs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SierraStore *store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);
	ListCell *cell;

	check_rights(store);
	sierra_store_check_complete(store);
	InitMaterializedSRF(fcinfo, 0);
	foreach (cell, sierra_job_list(store, PG_INT32_MAX))
	{
		SierraListedJob *job = lfirst(cell);
		Datum values[] = {CStringGetTextDatum(sierra_job_kind_name(job->kind)),
						  CStringGetTextDatum(job->name),
						  Int32GetDatum(job->version),
						  TimestampTzGetDatum(job->due_at),
						  TimestampTzGetDatum(job->again_at),
						  Int64GetDatum(job->size),
						  Int64GetDatum(job->row)};
		bool nulls[lengthof(values)] = {false};

		nulls[1] = job->name[0] == '\0';
		nulls[2] = job->kind != SIERRA_JOB_PROJECTION;
		nulls[4] = job->again_at == DT_NOEND;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
