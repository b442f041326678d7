/*
 * store_tables.c
 *		The descriptions of the tables of a store.
 *
 * sql/ makes the tables; these descriptions say the same once more, for the code
 * that reads them.  everify() compares a store with them, so a new store that does
 * not fit fails the tests.
 */
#include "postgres.h"

#include "store/event.h"
#include "store/event_tags.h"
#include "store/table_shape.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"

/* Text with collation "C", or another type: */
#define COLUMN(name, type)                                                                         \
	{                                                                                              \
		name, type, true, false                                                                    \
	}
#define NULLABLE(name, type)                                                                       \
	{                                                                                              \
		name, type, false, false                                                                   \
	}
/* Text that nothing is ordered by: */
#define FREE_TEXT(name)                                                                            \
	{                                                                                              \
		name, TEXTOID, true, true                                                                  \
	}
#define NULLABLE_TEXT(name)                                                                        \
	{                                                                                              \
		name, TEXTOID, false, true                                                                 \
	}
#define TEXTS(name)                                                                                \
	{                                                                                              \
		name, TEXTARRAYOID, false, true                                                            \
	}

/* Of events and its partitions, in the order of event.h. */
static const SierraColumnShape event_columns[Natts_events] = {
	COLUMN("partition_sequence", INT8OID), COLUMN("stream_version", INT8OID),
	COLUMN("global_position", INT8OID),	   COLUMN("timestamp", TIMESTAMPTZOID),
	COLUMN("event_id", UUIDOID),		   COLUMN("partition_key", UUIDOID),
	COLUMN("transaction_id", UUIDOID),	   COLUMN("partition_id", INT4OID),
	COLUMN("stream_id", TEXTOID),		   COLUMN("event_name", TEXTOID),
	NULLABLE("metadata", JSONOID),		   NULLABLE("payload", JSONOID),
	NULLABLE("payload_bytes", BYTEAOID),   TEXTS("tags"),
};

const SierraTableShape sierra_events_shape = {
	.name = "events",
	.relkind = RELKIND_PARTITIONED_TABLE,
	.column_count = lengthof(event_columns),
	.columns = event_columns,
	.more_columns = true,
};

/* The indexes in the order of SierraIndex, see scan.h. */
const SierraTableShape sierra_partition_shape = {
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(event_columns),
	.columns = event_columns,
	.more_columns = true,
	.index_count = 3,
	.indexes = {{1, {Anum_events_partition_sequence}},
				{2, {Anum_events_stream_id, Anum_events_stream_version}},
				{1, {Anum_events_event_id}}},
};

static const SierraColumnShape stream_key_columns[] = {
	COLUMN("stream_id", TEXTOID),
	COLUMN("partition_key", UUIDOID),
};

const SierraTableShape sierra_stream_keys_shape = {
	.name = "stream_keys",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(stream_key_columns),
	.columns = stream_key_columns,
	.index_count = 1,
	.indexes = {{1, {1}}},
};

static const SierraColumnShape event_id_columns[] = {
	COLUMN("event_id", UUIDOID),
	COLUMN("partition_id", INT4OID),
};

const SierraTableShape sierra_event_ids_shape = {
	.name = "event_ids",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(event_id_columns),
	.columns = event_id_columns,
	.index_count = 1,
	.indexes = {{1, {1}}},
};

static const SierraColumnShape event_tag_columns[Natts_event_tags] = {
	COLUMN("tag", TEXTOID),
	COLUMN("global_position", INT8OID),
	COLUMN("partition_id", INT4OID),
	COLUMN("partition_sequence", INT8OID),
};

const SierraTableShape sierra_event_tags_shape = {
	.name = "event_tags",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(event_tag_columns),
	.columns = event_tag_columns,
	.index_count = 1,
	.indexes = {{Natts_event_tags,
				 {Anum_event_tags_tag, Anum_event_tags_position, Anum_event_tags_partition,
				  Anum_event_tags_sequence}}},
};

static const SierraColumnShape subscriptions_columns[] = {
	COLUMN("subscription", TEXTOID),
	TEXTS("streams"),
	TEXTS("event_names"),
	TEXTS("tags"),
	NULLABLE("partitions", INT4ARRAYOID),
	COLUMN("start_after", INT8OID),
	NULLABLE("start_sequences", INT8ARRAYOID),
	TEXTS("start_streams"),
	NULLABLE("start_versions", INT8ARRAYOID),
	COLUMN("window_size", INT4OID),
	COLUMN("lease_time", INTERVALOID),
	COLUMN("max_attempts", INT4OID),
	COLUMN("created_at", TIMESTAMPTZOID),
};

static const SierraTableShape subscriptions_shape = {
	.name = "subscriptions",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(subscriptions_columns),
	.columns = subscriptions_columns,
	.index_count = 1,
	.indexes = {{1, {1}}},
};

static const SierraColumnShape subscription_cursors_columns[] = {
	COLUMN("subscription", TEXTOID), COLUMN("partition_id", INT4OID),
	COLUMN("cursor", INT8OID),		 COLUMN("epoch", INT8OID),
	NULLABLE("consumer", TEXTOID),	 NULLABLE("acknowledged_at", TIMESTAMPTZOID),
	NULLABLE_TEXT("last_error"),	 NULLABLE("last_error_at", TIMESTAMPTZOID),
};

static const SierraTableShape subscription_cursors_shape = {
	.name = "subscription_cursors",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(subscription_cursors_columns),
	.columns = subscription_cursors_columns,
	.index_count = 1,
	.indexes = {{2, {1, 2}}},
};

static const SierraColumnShape subscription_consumers_columns[] = {
	COLUMN("subscription", TEXTOID),	 COLUMN("consumer", TEXTOID),
	COLUMN("acknowledged", INT8OID),	 COLUMN("delivered", INT8OID),
	COLUMN("joined_at", TIMESTAMPTZOID), COLUMN("seen_at", TIMESTAMPTZOID),
};

static const SierraTableShape subscription_consumers_shape = {
	.name = "subscription_consumers",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(subscription_consumers_columns),
	.columns = subscription_consumers_columns,
	.index_count = 1,
	.indexes = {{2, {1, 2}}},
};

static const SierraColumnShape subscription_streams_columns[] = {
	COLUMN("subscription", TEXTOID),	   COLUMN("stream_id", TEXTOID),
	COLUMN("partition_id", INT4OID),	   FREE_TEXT("state"),
	COLUMN("position", INT8OID),		   COLUMN("version", INT8OID),
	NULLABLE("delivered", INT8OID),		   NULLABLE("failed_position", INT8OID),
	NULLABLE("failed_version", INT8OID),   COLUMN("attempts", INT4OID),
	NULLABLE("retry_at", TIMESTAMPTZOID),  NULLABLE_TEXT("reason"),
	NULLABLE("failed_at", TIMESTAMPTZOID),
};

static const SierraTableShape subscription_streams_shape = {
	.name = "subscription_streams",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(subscription_streams_columns),
	.columns = subscription_streams_columns,
	.index_count = 1,
	.indexes = {{2, {1, 2}}},
};

static const SierraColumnShape aggregates_columns[] = {
	COLUMN("aggregate", TEXTOID),		  FREE_TEXT("fold"),
	NULLABLE("initial", JSONBOID),		  COLUMN("snapshot_every", INT4OID),
	COLUMN("fold_version", INT4OID),	  COLUMN("definition", UUIDOID),
	COLUMN("created_at", TIMESTAMPTZOID),
};

static const SierraTableShape aggregates_shape = {
	.name = "aggregates",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(aggregates_columns),
	.columns = aggregates_columns,
	.index_count = 1,
	.indexes = {{1, {1}}},
};

static const SierraColumnShape snapshots_columns[] = {
	COLUMN("aggregate", TEXTOID),	COLUMN("stream_id", TEXTOID),
	COLUMN("definition", UUIDOID),	COLUMN("version", INT8OID),
	COLUMN("snapshot_id", UUIDOID), COLUMN("newest", TIMESTAMPTZOID),
	COLUMN("state", JSONBOID),		COLUMN("taken_at", TIMESTAMPTZOID),
};

static const SierraTableShape snapshots_shape = {
	.name = "snapshots",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(snapshots_columns),
	.columns = snapshots_columns,
	.index_count = 1,
	.indexes = {{5, {1, 2, 3, 4, 5}}},
};

static const SierraColumnShape upcasters_columns[] = {
	COLUMN("event_name", TEXTOID),
	COLUMN("from_version", INT4OID),
	FREE_TEXT("upcast"),
};

static const SierraTableShape upcasters_shape = {
	.name = "upcasters",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(upcasters_columns),
	.columns = upcasters_columns,
	.index_count = 1,
	.indexes = {{2, {1, 2}}},
};

static const SierraColumnShape timers_columns[] = {
	COLUMN("timer_id", UUIDOID),		 COLUMN("due_at", TIMESTAMPTZOID),
	COLUMN("run_at", TIMESTAMPTZOID),	 COLUMN("stream_id", TEXTOID),
	COLUMN("event_name", TEXTOID),		 NULLABLE("payload", JSONOID),
	NULLABLE("payload_bytes", BYTEAOID), NULLABLE("metadata", JSONOID),
	NULLABLE_TEXT("partition_key"),		 TEXTS("tags"),
	COLUMN("attempts", INT4OID),		 COLUMN("interruptions", INT4OID),
	NULLABLE_TEXT("last_error"),		 COLUMN("created_at", TIMESTAMPTZOID),
};

static const SierraTableShape timers_shape = {
	.name = "timers",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(timers_columns),
	.columns = timers_columns,
	.index_count = 1,
	.indexes = {{1, {1}}},
};

static const SierraColumnShape projections_columns[] = {
	COLUMN("projection", TEXTOID),
	COLUMN("version", INT4OID),
	COLUMN("live", BOOLOID),
	COLUMN("owner", REGROLEOID),
	FREE_TEXT("kind"),
	FREE_TEXT("handler"),
	NULLABLE_TEXT("key"),
	NULLABLE("initial", JSONBOID),
	TEXTS("streams"),
	TEXTS("event_names"),
	TEXTS("tags"),
	FREE_TEXT("search_path"),
	FREE_TEXT("mode"),
	NULLABLE("subscription", TEXTOID),
	COLUMN("batch_size", INT4OID),
	FREE_TEXT("on_error"),
	COLUMN("max_attempts", INT4OID),
	COLUMN("retry_after", INTERVALOID),
	COLUMN("automatic", BOOLOID),
	FREE_TEXT("state"),
	COLUMN("attempts", INT4OID),
	COLUMN("interruptions", INT4OID),
	NULLABLE("retry_at", TIMESTAMPTZOID),
	NULLABLE("failed_position", INT8OID),
	NULLABLE_TEXT("failed_stream"),
	NULLABLE_TEXT("last_error"),
	NULLABLE("last_error_at", TIMESTAMPTZOID),
	COLUMN("processed", INT8OID),
	NULLABLE("rate", FLOAT8OID),
	COLUMN("created_at", TIMESTAMPTZOID),
	NULLABLE("updated_at", TIMESTAMPTZOID),
};

static const SierraTableShape projections_shape = {
	.name = "projections",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(projections_columns),
	.columns = projections_columns,
	.index_count = 1,
	.indexes = {{2, {1, 2}}},
};

static const SierraColumnShape projection_states_columns[] = {
	COLUMN("projection", TEXTOID), COLUMN("version", INT4OID),	COLUMN("key", TEXTOID),
	NULLABLE("state", JSONBOID),   COLUMN("position", INT8OID), NULLABLE("stream_version", INT8OID),
};

static const SierraTableShape projection_states_shape = {
	.name = "projection_states",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(projection_states_columns),
	.columns = projection_states_columns,
	.index_count = 1,
	.indexes = {{3, {1, 2, 3}}},
};

static const SierraColumnShape sagas_columns[] = {
	COLUMN("saga", TEXTOID),
	COLUMN("version", INT4OID),
	COLUMN("owner", REGROLEOID),
	COLUMN("steps", JSONBOID),
	NULLABLE("timeout", INTERVALOID),
	FREE_TEXT("search_path"),
	COLUMN("created_at", TIMESTAMPTZOID),
};

static const SierraTableShape sagas_shape = {
	.name = "sagas",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(sagas_columns),
	.columns = sagas_columns,
	.index_count = 1,
	.indexes = {{2, {1, 2}}},
};

static const SierraColumnShape saga_instances_columns[] = {
	COLUMN("saga_id", TEXTOID),
	COLUMN("saga", TEXTOID),
	COLUMN("version", INT4OID),
	FREE_TEXT("status"),
	NULLABLE_TEXT("step"),
	COLUMN("attempts", INT4OID),
	COLUMN("interruptions", INT4OID),
	NULLABLE("run_at", TIMESTAMPTZOID),
	NULLABLE("deadline", TIMESTAMPTZOID),
	NULLABLE_TEXT("correlation_id"),
	NULLABLE_TEXT("last_error"),
	COLUMN("started_at", TIMESTAMPTZOID),
	COLUMN("updated_at", TIMESTAMPTZOID),
	NULLABLE("ended_at", TIMESTAMPTZOID),
};

static const SierraTableShape saga_instances_shape = {
	.name = "saga_instances",
	.relkind = RELKIND_RELATION,
	.column_count = lengthof(saga_instances_columns),
	.columns = saga_instances_columns,
	.index_count = 1,
	.indexes = {{1, {1}}},
};

const SierraTableShape *const sierra_other_shapes[] = {
	&subscriptions_shape,
	&subscription_cursors_shape,
	&subscription_consumers_shape,
	&subscription_streams_shape,
	&aggregates_shape,
	&snapshots_shape,
	&upcasters_shape,
	&timers_shape,
	&projections_shape,
	&projection_states_shape,
	&sagas_shape,
	&saga_instances_shape,
	NULL,
};
