/*
 * output_plugin.c
 *		The logical decoding output plugin: events as they commit.
 *
 * The server decodes the WAL of the whole database and calls this plugin for
 * every row of every committed transaction, in the order of commits.  The
 * plugin sends those rows that are events of stores.  The partition lock covers
 * the commit record, so the events of a partition come in the order of their
 * sequences.  Positions of different partitions are not in order: a lower one
 * can commit later.  That is why readers resume by the sequence of each
 * partition.
 *
 * There are no callbacks for streaming and for two-phase commit: a part of a
 * transaction, or a transaction that can still roll back, is not something that
 * happened.  Without these callbacks the server keeps large transactions on
 * disk, and passes them to the plugin as a whole.
 *
 * Events are only ever inserted.  An owner who drops the guard can also update,
 * delete and truncate; these changes are not sent.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/pattern.h"
#include "decoding/decode_options.h"
#include "decoding/decode_relation.h"
#include "store/event.h"
#include "store/store.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Bytes of a message without its long values (metadata and payload), rounded up. */
#define MESSAGE_OVERHEAD 65536

/* The bytes of an array of tags are at most these. */
#define TAGS_SIZE_MAX                                                                              \
	(ARR_OVERHEAD_NONULLS(1) + SIERRA_TAGS_MAX * INTALIGN(VARHDRSZ + SIERRA_NAME_MAX))

typedef struct Decoder
{
	SierraDecodeOptions *options;
	MemoryContext row_context; /* reset after each row */
	bool sent_begin;		   /* for the current transaction */
	Bitmapset *started;		   /* partitions that were checked for a gap */
} Decoder;

/* A row, whose columns are found by their numbers in event.h. */
typedef struct Row
{
	const SierraDecodeRelation *relation;
	Datum *values;
	bool *nulls;
} Row;

static Datum
get_column(const Row *row, int column)
{
	return row->values[row->relation->column[column - 1] - 1];
}

static bool
is_null(const Row *row, int column)
{
	return row->nulls[row->relation->column[column - 1] - 1];
}

/* A varlena column, detoasted; NULL for NULL. */
static struct varlena *
get_varlena(const Row *row, int column)
{
	struct varlena *value;

	if (is_null(row, column))
		return NULL;
	value = (struct varlena *) DatumGetPointer(get_column(row, column));
	/* The server has already put TOAST values together; their table must not be read here. */
	if (VARATT_IS_EXTERNAL_ONDISK(value))
		elog(ERROR, "decoded event has a value that is not in its row");
	return pg_detoast_datum_packed(value);
}

static void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *plugin_options, bool is_init)
{
	Decoder *decoder = MemoryContextAllocZero(ctx->context, sizeof(Decoder));
	MemoryContext old = MemoryContextSwitchTo(ctx->context);

	decoder->options = sierra_decode_options_read(ctx->output_plugin_options);
	MemoryContextSwitchTo(old);
	decoder->row_context =
		AllocSetContextCreate(ctx->context, "sierra_es decoded row", ALLOCSET_DEFAULT_SIZES);
	sierra_decode_relations_begin(ctx->context);
	plugin_options->output_type = decoder->options->format->textual ? OUTPUT_PLUGIN_TEXTUAL_OUTPUT
																	: OUTPUT_PLUGIN_BINARY_OUTPUT;
	ctx->output_plugin_private = decoder;
}

/* The message "begin" is sent before the first event: most transactions have no event. */
static void
begin_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Decoder *decoder = ctx->output_plugin_private;

	decoder->sent_begin = false;
}

static void
send_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Decoder *decoder = ctx->output_plugin_private;

	if (decoder->sent_begin)
		return;
	decoder->sent_begin = true;
	if (!decoder->options->include_transactions)
		return;
	OutputPluginPrepareWrite(ctx, true);
	decoder->options->format->write_begin(ctx->out, txn);
	OutputPluginWrite(ctx, true);
}

static void
commit_transaction(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr commit_lsn)
{
	Decoder *decoder = ctx->output_plugin_private;

	OutputPluginUpdateProgress(ctx, !decoder->sent_begin);
	if (!decoder->sent_begin || !decoder->options->include_transactions)
		return;
	OutputPluginPrepareWrite(ctx, true);
	decoder->options->format->write_commit(ctx->out, txn);
	OutputPluginWrite(ctx, true);
}

static bool
filter_by_origin(LogicalDecodingContext *ctx, RepOriginId origin)
{
	const Decoder *decoder = ctx->output_plugin_private;

	return decoder->options->local_only && origin != InvalidRepOriginId;
}

/*
 * Sequences have no gaps.  So if the first event of a partition that comes is
 * not the next one, or an earlier one, then those between are missing: the
 * slot is younger than they are, or has been advanced over them.
 */
static void
check_gap(Decoder *decoder, MemoryContext context, int partition, int64 sequence)
{
	int64 last = decoder->options->after_sequences[partition];
	MemoryContext old;

	if (!decoder->options->refuse_gaps || bms_is_member(partition, decoder->started))
		return;
	if (sequence > last + 1)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("partition %d of store \"%s\" has events that the slot does not", partition,
					   decoder->options->store),
				errdetail("Option \"after_sequences\" ends at %lld, the slot starts at %lld.",
						  (long long) last, (long long) sequence),
				errhint("Read epscan(%d, %lld, %lld), then start again after %lld.", partition,
						(long long) last + 1, (long long) sequence - 1, (long long) sequence - 1));
	old = MemoryContextSwitchTo(context);
	decoder->started = bms_add_member(decoder->started, partition);
	MemoryContextSwitchTo(old);
}

/*
 * Could this row have been written by an append?  The owner of a store can drop the guard
 * and constraints, and insert anything.  An error would stop the slot for good, and with
 * it the decoding of all other stores of the database.
 */
static bool
is_event(const Row *row)
{
	static const int required[] = {Anum_events_partition_sequence, Anum_events_stream_version,
								   Anum_events_global_position,	   Anum_events_timestamp,
								   Anum_events_event_id,		   Anum_events_partition_key,
								   Anum_events_transaction_id,	   Anum_events_partition_id,
								   Anum_events_stream_id,		   Anum_events_event_name};

	for (int i = 0; i < lengthof(required); i++)
	{
		if (is_null(row, required[i]))
			return false;
	}
	if (!is_null(row, Anum_events_tags) &&
		toast_raw_datum_size(get_column(row, Anum_events_tags)) > TAGS_SIZE_MAX)
		return false;
	return toast_raw_datum_size(get_column(row, Anum_events_stream_id)) - VARHDRSZ <=
			   SIERRA_NAME_MAX &&
		   toast_raw_datum_size(get_column(row, Anum_events_event_name)) - VARHDRSZ <=
			   SIERRA_NAME_MAX;
}

/* Is the event, by its numbers, among those that are to be sent? */
static bool
wants_numbers(Decoder *decoder, MemoryContext context, const Row *row)
{
	const SierraDecodeOptions *options = decoder->options;
	int partition = DatumGetInt32(get_column(row, Anum_events_partition_id));
	int64 sequence = DatumGetInt64(get_column(row, Anum_events_partition_sequence));

	/* no partition of a store has another id */
	if (partition < 0 || partition >= SIERRA_PARTITIONS_MAX)
		return false;
	if (options->partitions != NULL && !bms_is_member(partition, options->partitions))
		return false;
	if (options->after_sequences != NULL)
	{
		check_gap(decoder, context, partition, sequence);
		if (sequence <= options->after_sequences[partition])
			return false;
	}
	return DatumGetInt64(get_column(row, Anum_events_global_position)) > options->after;
}

static bool
matches_any(List *patterns, const text *value)
{
	ListCell *cell;

	foreach (cell, patterns)
	{
		const char *pattern = lfirst(cell);

		if (sierra_pattern_matches(pattern, strlen(pattern), VARDATA_ANY(value),
								   VARSIZE_ANY_EXHDR(value)))
			return true;
	}
	return false;
}

static bool
equals_any(List *names, const text *value)
{
	ListCell *cell;

	foreach (cell, names)
	{
		const char *name = lfirst(cell);

		if (strlen(name) == VARSIZE_ANY_EXHDR(value) &&
			memcmp(name, VARDATA_ANY(value), strlen(name)) == 0)
			return true;
	}
	return false;
}

static bool
has_any(List *tags, const SierraDecodedEvent *event)
{
	for (int i = 0; i < event->tags.count; i++)
	{
		if (equals_any(tags, DatumGetTextPP(event->tags.items[i])))
			return true;
	}
	return false;
}

static bool
wants_names(const SierraDecodeOptions *options, const SierraDecodedEvent *event)
{
	return (options->streams == NIL || matches_any(options->streams, event->stream_id)) &&
		   (options->event_names == NIL || equals_any(options->event_names, event->event_name)) &&
		   (options->tags == NIL || has_any(options->tags, event));
}

/* Leaves none if the event has none. */
static void
fill_tags(const Row *row, SierraTags *tags)
{
	struct varlena *value = get_varlena(row, Anum_events_tags);

	/* An array must be aligned, which a value with a short header is not. */
	if (value != NULL)
		sierra_tags_take_apart((ArrayType *) pg_detoast_datum(value), tags);
}

static void
fill_event(const Row *row, SierraDecodedEvent *event)
{
	event->store = NameStr(row->relation->store);
	event->global_position = DatumGetInt64(get_column(row, Anum_events_global_position));
	event->partition_id = DatumGetInt32(get_column(row, Anum_events_partition_id));
	event->partition_sequence = DatumGetInt64(get_column(row, Anum_events_partition_sequence));
	event->stream_version = DatumGetInt64(get_column(row, Anum_events_stream_version));
	event->timestamp = DatumGetTimestampTz(get_column(row, Anum_events_timestamp));
	event->event_id = DatumGetUUIDP(get_column(row, Anum_events_event_id));
	event->partition_key = DatumGetUUIDP(get_column(row, Anum_events_partition_key));
	event->transaction_id = DatumGetUUIDP(get_column(row, Anum_events_transaction_id));
	event->stream_id = get_varlena(row, Anum_events_stream_id);
	event->event_name = get_varlena(row, Anum_events_event_name);
	fill_tags(row, &event->tags);
}

/* What may be long, and is only looked at for events that are sent. */
static void
fill_long_values(const Row *row, const SierraDecodeOptions *options, SierraDecodedEvent *event)
{
	event->metadata_included = options->include_metadata;
	event->payload_included = options->include_payload;
	if (options->include_metadata)
		event->metadata = get_varlena(row, Anum_events_metadata);
	if (options->include_payload)
	{
		event->payload = get_varlena(row, Anum_events_payload);
		event->payload_bytes = get_varlena(row, Anum_events_payload_bytes);
	}
}

/* A message has less than a gigabyte; an event in JSON can have more. */
static void
check_size(const SierraDecodeOptions *options, const SierraDecodedEvent *event)
{
	int64 size = MESSAGE_OVERHEAD;

	if (event->metadata != NULL)
		size += VARSIZE_ANY_EXHDR(event->metadata);
	if (event->payload != NULL)
		size += VARSIZE_ANY_EXHDR(event->payload);
	if (event->payload_bytes != NULL)
		size += INT64CONST(4) * (VARSIZE_ANY_EXHDR(event->payload_bytes) / 3 + 1);
	if (size > MaxAllocSize)
		ereport(
			ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("event at position %lld of store \"%s\" is too large for a message",
				   (long long) event->global_position, event->store),
			errdetail("It needs %lld bytes of %lld.", (long long) size, (long long) MaxAllocSize),
			errhint("Read it with epscan(%d, %lld, %lld), and let it pass the slot with "
					"options \"include_payload\" and \"include_metadata\" false.",
					event->partition_id, (long long) event->partition_sequence,
					(long long) event->partition_sequence));
}

/* Sends a row if it is wanted. */
static bool
send_row(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, const Row *row)
{
	Decoder *decoder = ctx->output_plugin_private;
	const SierraDecodeOptions *options = decoder->options;
	SierraDecodedEvent event = {0};

	if (!is_event(row) || !wants_numbers(decoder, ctx->context, row))
		return false;
	fill_event(row, &event);
	if (!wants_names(options, &event))
		return false;
	fill_long_values(row, options, &event);
	check_size(options, &event);
	send_begin(ctx, txn);
	OutputPluginPrepareWrite(ctx, true);
	options->format->write_event(ctx->out, &event, options->single_line);
	OutputPluginWrite(ctx, true);
	return true;
}

static bool
send_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
			ReorderBufferChange *change)
{
	Decoder *decoder = ctx->output_plugin_private;
	TupleDesc desc = RelationGetDescr(relation);
	Row row = {.relation = sierra_decode_relation(relation)};

	if (!row.relation->is_events)
		return false;
	if (decoder->options->store != NULL &&
		strcmp(NameStr(row.relation->store), decoder->options->store) != 0)
		return false;
	row.values = palloc(sizeof(Datum) * desc->natts);
	row.nulls = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(sierra_compat_new_tuple(change), desc, row.values, row.nulls);
	return send_row(ctx, txn, &row);
}

static void
decode_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
			  ReorderBufferChange *change)
{
	Decoder *decoder = ctx->output_plugin_private;
	MemoryContext old = MemoryContextSwitchTo(decoder->row_context);
	bool sent =
		change->action == REORDER_BUFFER_CHANGE_INSERT && send_change(ctx, txn, relation, change);

	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->row_context);
	if (!sent)
		sierra_compat_report_skipped_change(ctx);
}

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = startup;
	callbacks->begin_cb = begin_transaction;
	callbacks->change_cb = decode_change;
	callbacks->commit_cb = commit_transaction;
	callbacks->filter_by_origin_cb = filter_by_origin;
}
