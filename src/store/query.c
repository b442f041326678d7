/*
 * query.c
 *		Runs SQL on the tables that keep subscriptions and derived state.
 *
 * A session keeps the plan of each statement; the plan cache makes a new one when a
 * table changes.  A plan that was made while a table was empty would scan the whole
 * table, and would be kept while the table grows until it is analyzed.  So plans use
 * indexes whatever the statistics say.
 */
#include "postgres.h"

#include "store/query.h"

#include "executor/spi.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct PlanKey
{
	NameData store;
	const SierraQuery *query;
} PlanKey;

typedef struct PlanEntry
{
	PlanKey key;
	SPIPlanPtr plan;
} PlanEntry;

static HTAB *plans = NULL;

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
	char *sql = psprintf(query->sql, schema, schema, schema, schema, schema, schema);
	SPIPlanPtr plan = SPI_prepare(sql, query->nargs, (Oid *) query->types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	return plan;
}

static SPIPlanPtr
find_plan(const SierraStore *store, const SierraQuery *query)
{
	PlanKey key = {.store = store->name, .query = query};
	PlanEntry *entry;
	bool found;

	if (plans == NULL)
	{
		HASHCTL ctl = {0};

		ctl.keysize = sizeof(PlanKey);
		ctl.entrysize = sizeof(PlanEntry);
		ctl.hcxt = CacheMemoryContext;
		plans = hash_create("sierra_es queries", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(plans, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		/* Prepare first: if that fails, there must not be an entry without a plan. */
		SPIPlanPtr plan = prepare(store, query);

		entry = hash_search(plans, &key, HASH_ENTER, &found);
		entry->plan = plan;
	}
	return entry->plan;
}

/* Runs a plan.  If it has to be made first, it is made without sequential scans. */
static int
execute(SPIPlanPtr plan, Datum *values, const char *nulls, bool read_only)
{
	bool before = enable_seqscan;
	int status = 0;

	/* Set the variable directly: set_config_option() takes longer than many of the statements. */
	PG_TRY();
	{
		enable_seqscan = false;
		status = SPI_execute_plan(plan, values, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		enable_seqscan = before;
	}
	PG_END_TRY();
	return status;
}

uint64
sierra_query(const SierraStore *store, const SierraQuery *query, Datum *values, const bool *nulls,
			 bool read_only)
{
	char spi_nulls[SIERRA_QUERY_ARGS_MAX];
	int status;

	for (int i = 0; i < query->nargs; i++)
		spi_nulls[i] = nulls != NULL && nulls[i] ? 'n' : ' ';
	status = execute(find_plan(store, query), values, spi_nulls, read_only);
	if (status < 0)
		elog(ERROR, "could not execute \"%s\": %s", query->sql, SPI_result_code_string(status));
	return SPI_processed;
}

Datum
sierra_query_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}
