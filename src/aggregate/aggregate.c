/*
 * aggregate.c
 *		Aggregates: the state of a stream, folded from its events.
 *
 * With a snapshot, the events before it need not be folded.  It has no other
 * use.  A snapshot that is missing, belongs to another definition of the
 * aggregate, or is newer than the version that is asked for, is not used; the
 * state is then folded from an older snapshot, or from the first event.
 *
 * If the row of a snapshot is visible, so are the events in it: the transaction
 * that wrote the row saw these events, and they were committed before or with
 * it.
 *
 * Loading is reading, so one load never waits for another.  Two loads can write
 * the same snapshot, as two rows.  A definition has a uuid, which changes
 * whenever the state could become another one.  So a snapshot of a load that
 * began with the old definition is not used with the new one.
 */
#include "postgres.h"

#include "aggregate/aggregate.h"
#include "aggregate/fold.h"
#include "read/read_all.h"
#include "read/read_stream.h"
#include "read/row_security.h"
#include "store/event.h"
#include "store/query.h"
#include "store/scan.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static const SierraQuery aggregate_query = {
	"SELECT a.fold::pg_catalog.text, a.initial::pg_catalog.jsonb, a.definition::pg_catalog.uuid,"
	"       a.snapshot_every::pg_catalog.int4"
	"  FROM %1$s.aggregates AS a WHERE a.aggregate OPERATOR(pg_catalog.=) $1",
	1,
	{TEXTOID}};

static const SierraQuery snapshot_query = {
	"SELECT s.version::pg_catalog.int8, s.state::pg_catalog.jsonb, s.newest::pg_catalog.timestamptz"
	"  FROM %1$s.snapshots AS s"
	" WHERE s.aggregate OPERATOR(pg_catalog.=) $1 AND s.stream_id OPERATOR(pg_catalog.=) $2"
	"   AND s.definition OPERATOR(pg_catalog.=) $3 AND s.version OPERATOR(pg_catalog.<=) $4"
	"   AND s.newest OPERATOR(pg_catalog.<=) $5"
	" ORDER BY s.version USING OPERATOR(pg_catalog.>) LIMIT 1",
	5,
	{TEXTOID, TEXTOID, UUIDOID, INT8OID, TIMESTAMPTZOID}};

static const SierraQuery insert_query = {
	"INSERT INTO %1$s.snapshots (aggregate, stream_id, definition, version, newest, state)"
	" VALUES ($1, $2, $3, $4, $5, $6)",
	6,
	{TEXTOID, TEXTOID, UUIDOID, INT8OID, TIMESTAMPTZOID, JSONBOID}};

typedef struct Aggregate
{
	Oid fold;
	SierraUpcasters *upcasters;
	Datum initial;
	bool initial_null;
	pg_uuid_t definition;
	int32 snapshot_every; /* 0: no snapshots */
	/* Where folding begins. */
	Datum state;
	bool isnull;
	int64 version;
	TimestampTz newest;
} Aggregate;

/* Room for the positions of this number of events, before there is more. */
#define FIRST_POSITIONS 64

/* A state is jsonb. */
static Datum
copy_state(uint64 row, int column, MemoryContext context, bool *isnull)
{
	Datum value = sierra_query_value(row, column, JSONBOID, isnull);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (!*isnull)
		value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	MemoryContextSwitchTo(old);
	return value;
}

static void
find_aggregate(const SierraStore *store, text *name, Oid event_type, MemoryContext context,
			   Aggregate *aggregate)
{
	Datum values[1] = {PointerGetDatum(name)};

	(void) sierra_store_table(store, "aggregates");
	if (sierra_query(store, &aggregate_query, values, NULL, true) == 0)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("no aggregate \"%s\"", text_to_cstring(name)),
				errdetail("Store \"%s\" has no aggregate of this name.", NameStr(store->name)),
				errhint("Make it with create_aggregate()."));
	aggregate->fold = sierra_fold_function(sierra_query_cstring(0, 1), event_type);
	aggregate->initial = copy_state(0, 2, context, &aggregate->initial_null);
	aggregate->definition = *DatumGetUUIDP(sierra_query_required(0, 3, UUIDOID));
	aggregate->snapshot_every = sierra_query_int4(0, 4);
	aggregate->upcasters = sierra_upcasters_load(store, context);
}

/* Where folding begins: at a snapshot, or before the first event. */
static void
find_start(const SierraStore *store, const SierraLoad *load, bool use_snapshots,
		   MemoryContext context, Aggregate *aggregate)
{
	Datum values[5] = {PointerGetDatum(load->aggregate), PointerGetDatum(load->stream_id),
					   UUIDPGetDatum(&aggregate->definition), Int64GetDatum(load->at_version),
					   TimestampTzGetDatum(load->until)};

	aggregate->state = aggregate->initial;
	aggregate->isnull = aggregate->initial_null;
	aggregate->version = SIERRA_NONE;
	aggregate->newest = DT_NOBEGIN;
	if (!use_snapshots || sierra_query(store, &snapshot_query, values, NULL, true) == 0)
		return;
	aggregate->version = sierra_query_int8(0, 1);
	aggregate->state = copy_state(0, 2, context, &aggregate->isnull);
	aggregate->newest = sierra_query_timestamptz(0, 3);
}

static bool
has_right(const SierraStore *store, AclMode right)
{
	Oid snapshots = sierra_store_table(store, "snapshots");

	return pg_class_aclcheck(snapshots, GetUserId(), right) == ACLCHECK_OK;
}

/*
 * Is a snapshot due, and can this transaction write it?  Only loads of the
 * newest state write snapshots: otherwise a caller that walks backwards through
 * a stream would write one at every step.  A SERIALIZABLE transaction writes
 * none: otherwise two transactions that only read could fail with a
 * serialization error.
 */
static bool
may_write_snapshot(const SierraStore *store, const SierraLoad *load, const Aggregate *aggregate,
				   const SierraFold *fold)
{
	return aggregate->snapshot_every > 0 && fold->count >= aggregate->snapshot_every &&
		   !fold->isnull && load->at_version == PG_INT64_MAX && load->until == DT_NOEND &&
		   !RecoveryInProgress() && !XactReadOnly && !IsInParallelMode() &&
		   !IsolationIsSerializable() && has_right(store, ACL_INSERT);
}

static void
write_snapshot(const SierraStore *store, const SierraLoad *load, const Aggregate *aggregate,
			   const SierraFold *fold)
{
	Datum values[6] = {PointerGetDatum(load->aggregate),
					   PointerGetDatum(load->stream_id),
					   UUIDPGetDatum(&aggregate->definition),
					   Int64GetDatum(fold->version),
					   TimestampTzGetDatum(Max(fold->newest, aggregate->newest)),
					   fold->state};

	sierra_query_begin();
	sierra_query(store, &insert_query, values, NULL, false);
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

	find_aggregate(store, load->aggregate, load->event_type, context, &aggregate);
	/* A snapshot contains all events, so it could reveal some that a policy hides. */
	find_start(store, load, !row_security && has_right(store, ACL_SELECT), context, &aggregate);
	sierra_query_end();

	sierra_fold_begin(&fold, aggregate.fold, load->event_type, aggregate.state, aggregate.isnull,
					  load->until);
	fold.upcasters = aggregate.upcasters;
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
	if (!row_security && may_write_snapshot(store, load, &aggregate, &fold))
		write_snapshot(store, load, &aggregate, &fold);
}

/* A sink that folds events and notes their positions. */
typedef struct QueryFold
{
	SierraSink base;
	SierraFold fold;
	int64 *positions;
	int count;
	int capacity;
} QueryFold;

static void
note_position(QueryFold *query_fold, int64 position)
{
	if (query_fold->count == query_fold->capacity)
	{
		query_fold->capacity *= 2;
		query_fold->positions =
			repalloc_huge(query_fold->positions, sizeof(int64) * query_fold->capacity);
	}
	query_fold->positions[query_fold->count++] = position;
}

static bool
fold_slot(SierraSink *base, TupleTableSlot *slot)
{
	QueryFold *query_fold = (QueryFold *) base;

	note_position(query_fold, sierra_event_position(slot));
	return query_fold->fold.base.put(&query_fold->fold.base, slot);
}

static bool
fold_values(void *arg, Datum *values, bool *nulls)
{
	QueryFold *query_fold = arg;

	note_position(query_fold, DatumGetInt64(values[SIERRA_EVENT_POSITION]));
	return sierra_fold_values(&query_fold->fold, values, nulls);
}

/* Reads the events into the fold; returns the position up to which none is missing. */
static int64
fold_query(const SierraStore *store, const SierraReadAll *request, QueryFold *query_fold)
{
	SierraSink *sink;
	int64 position;

	if (!sierra_store_has_row_security(store))
		return sierra_read_all(store, request, &query_fold->base);
	sink = sierra_row_security_sink(store, fold_values, query_fold, PG_INT64_MAX);
	position = sierra_read_all(store, request, sink);
	sierra_row_security_finish(sink);
	return position;
}

void
sierra_aggregate_load_query(const SierraStore *store, const SierraQueryLoad *load, bool seen_too,
							SierraQueryLoaded *loaded)
{
	MemoryContext context = sierra_query_begin();
	SierraReadAll request = {.after = SIERRA_NONE,
							 .query = load->query,
							 .bounded = load->bounded,
							 .to = load->at_position,
							 .past_horizon = seen_too,
							 .expected_rows = FIRST_POSITIONS};
	QueryFold query_fold = {.base = {fold_slot}, .capacity = FIRST_POSITIONS};
	Aggregate aggregate;
	int known = 0;

	find_aggregate(store, load->aggregate, load->event_type, context, &aggregate);
	sierra_query_end();
	sierra_fold_begin(&query_fold.fold, aggregate.fold, load->event_type, aggregate.initial,
					  aggregate.initial_null, DT_NOEND);
	query_fold.fold.upcasters = aggregate.upcasters;
	query_fold.positions = palloc(sizeof(int64) * query_fold.capacity);

	loaded->position = fold_query(store, &request, &query_fold);
	loaded->state = query_fold.fold.state;
	loaded->isnull = query_fold.fold.isnull;
	while (known < query_fold.count && query_fold.positions[known] <= loaded->position)
		known++;
	loaded->seen = query_fold.positions + known;
	loaded->seen_count = query_fold.count - known;
}
