/*
 * query.c
 *		Runs SQL on the tables that keep subscriptions and derived state.
 *
 * A session keeps the plan of each statement; the plan cache makes a new one when a
 * table changes.  A plan that was made while a table was empty would scan the whole
 * table, and would be kept while the table grows until it is analyzed.  So plans use
 * indexes whatever the statistics say.
 *
 * A plan takes about 50 kB, and each store has plans of its own.  So a session keeps only
 * the plans that it has used last, and none of a store that has been dropped or renamed.
 */
#include "postgres.h"

#include "base/errors.h"
#include "store/query.h"
#include "store/run_as.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "jit/jit.h"
#include "lib/ilist.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* More than all statements of two stores. */
#define PLANS_MAX 128

typedef struct PlanKey
{
	NameData store;
	const SierraQuery *query;
} PlanKey;

typedef struct PlanEntry
{
	PlanKey key;
	Oid schema; /* of the store */
	SPIPlanPtr plan;
	int running; /* how many calls execute it at the moment: a trigger may run it again */
	dlist_node by_use;
} PlanEntry;

static HTAB *plans = NULL;
static dlist_head plans_by_use = DLIST_STATIC_INIT(plans_by_use); /* the last used first */
static bool schemas_changed = false;

MemoryContext
sierra_query_begin(void)
{
	MemoryContext caller = CurrentMemoryContext;

	SPI_connect();
	return caller;
}

void
sierra_query_end(void)
{
	SPI_finish();
}

static SPIPlanPtr
prepare(const SierraStore *store, const SierraQuery *query)
{
	const char *schema = quote_identifier(NameStr(store->name));
	char *sql = psprintf(query->sql, schema);
	SPIPlanPtr plan = SPI_prepare(sql, query->nargs, (Oid *) query->types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	return plan;
}

static void
note_change_of_schemas(Datum arg, int cacheid, uint32 hashvalue)
{
	schemas_changed = true;
}

static void
create_cache(void)
{
	HASHCTL ctl = {0};

	ctl.keysize = sizeof(PlanKey);
	ctl.entrysize = sizeof(PlanEntry);
	ctl.hcxt = CacheMemoryContext;
	plans =
		hash_create("sierra_es queries", PLANS_MAX, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(NAMESPACEOID, note_change_of_schemas, (Datum) 0);
}

static void
forget(PlanEntry *entry)
{
	SPIPlanPtr plan = entry->plan;

	dlist_delete(&entry->by_use);
	(void) hash_search(plans, &entry->key, HASH_REMOVE, NULL);
	SPI_freeplan(plan);
}

/* Forgets the plans of stores that have been dropped or renamed. */
static void
forget_dropped(void)
{
	dlist_mutable_iter iter;

	/* Set first: looking schemas up accepts invalidations. */
	schemas_changed = false;
	dlist_foreach_modify(iter, &plans_by_use)
	{
		PlanEntry *entry = dlist_container(PlanEntry, by_use, iter.cur);

		if (entry->running == 0 &&
			get_namespace_oid(NameStr(entry->key.store), true) != entry->schema)
			forget(entry);
	}
}

/* Forgets the plan whose last use is longest ago, if there are as many as may be kept. */
static void
make_room(void)
{
	dlist_iter iter;

	if (hash_get_num_entries(plans) < PLANS_MAX)
		return;
	dlist_reverse_foreach(iter, &plans_by_use)
	{
		PlanEntry *entry = dlist_container(PlanEntry, by_use, iter.cur);

		if (entry->running > 0)
			continue;
		forget(entry);
		return;
	}
}

static PlanEntry *
add_plan(const SierraStore *store, const PlanKey *key)
{
	/* Prepare first: if that fails, there must not be an entry without a plan. */
	SPIPlanPtr plan = prepare(store, key->query);
	PlanEntry *entry;
	bool found;

	if (schemas_changed)
		forget_dropped();
	make_room();
	entry = hash_search(plans, key, HASH_ENTER, &found);
	entry->plan = plan;
	entry->running = 0;
	dlist_push_head(&plans_by_use, &entry->by_use);
	return entry;
}

static PlanEntry *
find_plan(const SierraStore *store, const SierraQuery *query)
{
	PlanKey key = {.store = store->name, .query = query};
	PlanEntry *entry;

	if (plans == NULL)
		create_cache();
	entry = hash_search(plans, &key, HASH_FIND, NULL);
	if (entry == NULL)
		entry = add_plan(store, &key);
	else
		dlist_move_head(&plans_by_use, &entry->by_use);
	entry->schema = store->schema;
	return entry;
}

/*
 * If a plan has to be made, it is made without sequential scans.  One that cannot do without
 * looks expensive then, and would be compiled each time.  This sets the variables directly:
 * set_config_option() takes longer than many of the statements.
 */
typedef struct PlannerSettings
{
	bool seqscan;
	bool jit;
} PlannerSettings;

static PlannerSettings
set_planner(PlannerSettings settings)
{
	PlannerSettings before = {.seqscan = enable_seqscan, .jit = jit_enabled};

	enable_seqscan = settings.seqscan;
	jit_enabled = settings.jit;
	return before;
}

static int
execute(PlanEntry *entry, Datum *values, const char *nulls, bool read_only)
{
	PlannerSettings before = set_planner((PlannerSettings){.seqscan = false, .jit = false});
	volatile int status = 0;

	entry->running++;
	PG_TRY();
	{
		status = SPI_execute_plan(entry->plan, values, nulls, read_only, 0);
	}
	PG_CATCH();
	{
		entry->running--;
		(void) set_planner(before);
		PG_RE_THROW();
	}
	PG_END_TRY();
	entry->running--;
	(void) set_planner(before);
	return status;
}

uint64
sierra_query(const SierraStore *store, const SierraQuery *query, Datum *values, const bool *nulls,
			 bool read_only)
{
	char spi_nulls[SIERRA_QUERY_ARGS_MAX];
	SierraRunAs run_as;
	bool as_owner = sierra_run_as_begin_as_owner(&run_as, store);
	int status;

	for (int i = 0; i < query->nargs; i++)
		spi_nulls[i] = nulls != NULL && nulls[i] ? 'n' : ' ';
	status = execute(find_plan(store, query), values, spi_nulls, read_only);
	if (as_owner)
		sierra_run_as_end(&run_as);
	if (status < 0)
		elog(ERROR, "could not execute \"%s\": %s", query->sql, SPI_result_code_string(status));
	return SPI_processed;
}

/* The tables that a query reads are their owner's: a column may be of another type today. */
static void
report_column(int column, const char *what)
{
	ereport(
		ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
		errmsg("a table of the event store has been changed"),
		errdetail("Column \"%s\" of a result %s.", SPI_fname(SPI_tuptable->tupdesc, column), what),
		errhint("Undo the change to the table; everify() lists all differences."));
}

Datum
sierra_query_value(uint64 row, int column, Oid type, bool *isnull)
{
	TupleDesc desc = SPI_tuptable->tupdesc;

	Assert(row < SPI_tuptable->numvals && column <= desc->natts);
	if (TupleDescAttr(desc, column - 1)->atttypid != type)
		report_column(column,
					  psprintf("has type %s, not %s", format_type_be(SPI_gettypeid(desc, column)),
							   format_type_be(type)));
	return SPI_getbinval(SPI_tuptable->vals[row], desc, column, isnull);
}

Datum
sierra_query_required(uint64 row, int column, Oid type)
{
	bool isnull;
	Datum value = sierra_query_value(row, column, type, &isnull);

	if (isnull)
		report_column(column, "is null");
	return value;
}

int32
sierra_query_int4(uint64 row, int column)
{
	return DatumGetInt32(sierra_query_required(row, column, INT4OID));
}

int64
sierra_query_int8(uint64 row, int column)
{
	return DatumGetInt64(sierra_query_required(row, column, INT8OID));
}

bool
sierra_query_bool(uint64 row, int column)
{
	return DatumGetBool(sierra_query_required(row, column, BOOLOID));
}

TimestampTz
sierra_query_timestamptz(uint64 row, int column)
{
	return DatumGetTimestampTz(sierra_query_required(row, column, TIMESTAMPTZOID));
}

text *
sierra_query_text(uint64 row, int column)
{
	return DatumGetTextPP(sierra_query_required(row, column, TEXTOID));
}

char *
sierra_query_cstring(uint64 row, int column)
{
	return text_to_cstring(sierra_query_text(row, column));
}
