/*
 * aggregate.c
 *		Aggregates: the state of a stream, folded from its events.
 *
 * A snapshot saves the events before it.  It is never more than that: one that
 * is missing, of another version of the fold, or newer than what is asked for is
 * left out, and the state is folded from further back.
 *
 * A snapshot row that is visible tells of events that are: who wrote it had
 * seen them, and they were committed before or with it.
 */
#include "postgres.h"

#include "aggregate.h"
#include "errors.h"
#include "event.h"
#include "fold.h"
#include "query.h"
#include "read.h"
#include "row_security.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static const SierraQuery aggregate_query = {
	"SELECT a.fold, a.initial, a.fold_version, a.snapshot_every FROM %s.aggregates AS a"
	" WHERE a.aggregate OPERATOR(pg_catalog.=) $1",
	1,
	{TEXTOID}};

static const SierraQuery snapshot_query = {
	"SELECT s.version, s.state, s.newest FROM %s.snapshots AS s"
	" WHERE s.aggregate OPERATOR(pg_catalog.=) $1 AND s.stream_id OPERATOR(pg_catalog.=) $2"
	" AND s.fold_version OPERATOR(pg_catalog.=) $3 AND s.version OPERATOR(pg_catalog.<=) $4"
	" AND s.newest OPERATOR(pg_catalog.<=) $5"
	" ORDER BY s.version DESC LIMIT 1",
	5,
	{TEXTOID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID}};

static const SierraQuery take_query = {
	"INSERT INTO %s.snapshots (aggregate, stream_id, fold_version, version, newest, state)"
	" VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
	6,
	{TEXTOID, TEXTOID, INT4OID, INT8OID, TIMESTAMPTZOID, JSONBOID}};

typedef struct Aggregate
{
	Oid fold;
	Datum initial;
	bool initial_null;
	int32 fold_version;
	int32 snapshot_every;
	/* Where to begin. */
	Datum state;
	bool isnull;
	int64 version;
	TimestampTz newest;
} Aggregate;

static Datum
copy_value(uint64 row, int column, MemoryContext context, bool *isnull)
{
	Datum value = sierra_query_value(row, column, isnull);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (!*isnull)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	MemoryContextSwitchTo(old);
	return value;
}

static void
find_aggregate(const SierraStore *store, const SierraLoad *load, MemoryContext context,
			   Aggregate *aggregate)
{
	Datum values[1] = {PointerGetDatum(load->aggregate)};
	bool isnull;

	if (!OidIsValid(get_relname_relid("aggregates", store->schema)))
		ereport(ERROR, errcode(ERRCODE_SIERRA_NO_STORE),
				errmsg("event store \"%s\" has no tables for aggregates", NameStr(store->name)),
				errdetail("It was made by an older version of sierra_es."),
				errhint("As its owner, add them with SELECT upgrade_event_store(%s).",
						quote_literal_cstr(NameStr(store->name))));
	if (sierra_query(store, &aggregate_query, values, NULL, true) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("no aggregate \"%s\"", text_to_cstring(load->aggregate)),
				errdetail("Store \"%s\" has no aggregate of this name.", NameStr(store->name)),
				errhint("Make it with create_aggregate()."));
	aggregate->fold = sierra_fold_function(TextDatumGetCString(sierra_query_value(0, 1, &isnull)),
										   load->event_type);
	aggregate->initial = copy_value(0, 2, context, &aggregate->initial_null);
	aggregate->fold_version = DatumGetInt32(sierra_query_value(0, 3, &isnull));
	aggregate->snapshot_every = DatumGetInt32(sierra_query_value(0, 4, &isnull));
}

/* Where folding begins: at a snapshot, or before the first event. */
static void
find_start(const SierraStore *store, const SierraLoad *load, bool snapshots, MemoryContext context,
		   Aggregate *aggregate)
{
	Datum values[5] = {PointerGetDatum(load->aggregate), PointerGetDatum(load->stream_id),
					   Int32GetDatum(aggregate->fold_version), Int64GetDatum(load->at_version),
					   TimestampTzGetDatum(load->until)};
	bool isnull;

	aggregate->state = aggregate->initial;
	aggregate->isnull = aggregate->initial_null;
	aggregate->version = SIERRA_NONE;
	aggregate->newest = DT_NOBEGIN;
	if (!snapshots || sierra_query(store, &snapshot_query, values, NULL, true) == 0)
		return;
	aggregate->version = DatumGetInt64(sierra_query_value(0, 1, &isnull));
	aggregate->state = copy_value(0, 2, context, &aggregate->isnull);
	aggregate->newest = DatumGetTimestampTz(sierra_query_value(0, 3, &isnull));
}

/* May the caller write down a snapshot, here and now? */
static bool
may_take(const SierraStore *store)
{
	Oid snapshots = get_relname_relid("snapshots", store->schema);

	return !RecoveryInProgress() && !XactReadOnly && !IsInParallelMode() &&
		   pg_class_aclcheck(snapshots, GetUserId(), ACL_INSERT) == ACLCHECK_OK;
}

static void
take_snapshot(const SierraStore *store, const SierraLoad *load, const Aggregate *aggregate,
			  const SierraFold *fold)
{
	Datum values[6] = {PointerGetDatum(load->aggregate),
					   PointerGetDatum(load->stream_id),
					   Int32GetDatum(aggregate->fold_version),
					   Int64GetDatum(fold->version),
					   TimestampTzGetDatum(Max(fold->newest, aggregate->newest)),
					   fold->state};

	sierra_query_begin();
	sierra_query(store, &take_query, values, NULL, false);
	sierra_query_end();
}

void
sierra_aggregate_load(const SierraStore *store, const SierraLoad *load, SierraLoaded *loaded)
{
	bool row_security = sierra_store_has_row_security(store);
	MemoryContext context = sierra_query_begin();
	SierraRange range = {0, load->at_version, false};
	Aggregate aggregate;
	SierraFold fold;

	find_aggregate(store, load, context, &aggregate);
	/* A snapshot is of all events, and could tell of some that a policy hides. */
	find_start(store, load, !row_security, context, &aggregate);
	sierra_query_end();

	sierra_fold_begin(&fold, aggregate.fold, load->event_type, aggregate.state, aggregate.isnull,
					  load->until);
	range.from = aggregate.version + 1;
	if (row_security)
	{
		SierraSink *sink = sierra_row_security_sink(store, sierra_fold_values, &fold, PG_INT64_MAX);

		sierra_read_stream(store, load->stream_id, range, sink);
		sierra_row_security_finish(sink);
	}
	else
		sierra_read_stream(store, load->stream_id, range, &fold.base);

	loaded->state = fold.state;
	loaded->isnull = fold.isnull;
	loaded->version = Max(fold.version, aggregate.version);
	if (!row_security && fold.count >= aggregate.snapshot_every && !fold.isnull && may_take(store))
		take_snapshot(store, load, &aggregate, &fold);
}
