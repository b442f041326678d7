/*
 * write.c
 *		The second half of an append: numbers the events of accepted calls, and writes them.
 *
 * Nothing is refused from here on, except a condition about positions that the store has not
 * reached.
 */
#include "postgres.h"

#include "append/condition.h"
#include "append/idempotency.h"
#include "append/metadata.h"
#include "append/versions.h"
#include "append/write.h"
#include "base/routing.h"
#include "store/early_release.h"
#include "store/position.h"
#include "store/registry.h"
#include "wakeup/counters.h"
#include "wakeup/doorbell.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/inval.h"

/* How many ids are generated at a time. */
#define IDS_AT_ONCE 64

/* The calls that are written, those from first up to end that are accepted. */
typedef struct Round
{
	SierraRoute *route;
	int first;
	int end;
	int ncalls; /* that are accepted */
	int count;	/* of their events */
} Round;

/* The next accepted call, beginning with this one; NULL at the end of the round. */
static SierraAppendCall *
accepted(const Round *round, int c)
{
	for (; c < round->end; c++)
	{
		if (round->route->calls[c].status == SIERRA_APPEND_DONE)
			return &round->route->calls[c];
	}
	return NULL;
}

/* A loop over the accepted calls of a round. */
#define FOR_EACH_ACCEPTED(call, round)                                                             \
	for (SierraAppendCall * (call) = accepted(round, (round)->first); (call) != NULL;              \
		 (call) = accepted(round, (int) ((call) - (round)->route->calls) + 1))

/* Counts the events of the round, and those of each partition. */
static void
count_events(Round *round)
{
	SierraRoute *route = round->route;

	for (int l = 0; l < route->npartitions; l++)
		route->partitions[l].pending = 0;
	FOR_EACH_ACCEPTED(call, round)
	{
		round->ncalls++;
		round->count += call->count;
		for (int i = call->first; i < call->first + call->count; i++)
			route->results[i].stream->target->pending++;
	}
}

/* Ids for events, generated many at a time. */
typedef struct IdSource
{
	TimestampTz now;
	pg_uuid_t ids[IDS_AT_ONCE];
	int used;
	int available;
	int left; /* how many may still be wanted */
} IdSource;

static void
take_id(IdSource *source, uint16 hash, pg_uuid_t *id)
{
	if (source->used == source->available)
	{
		CHECK_FOR_INTERRUPTS();
		source->available = Min(IDS_AT_ONCE, source->left);
		source->used = 0;
		sierra_uuid_generate(source->now, 0, source->ids, source->available);
	}
	source->left--;
	*id = source->ids[source->used++];
	sierra_uuid_set_hash(id, hash);
}

/* Generates the ids of the events, unless they have one, and the ids of the transactions. */
static void
fill_ids(const Round *round, TimestampTz now)
{
	const SierraRoute *route = round->route;
	pg_uuid_t *transactions = MemoryContextAlloc(route->memory, sizeof(pg_uuid_t) * round->ncalls);
	IdSource source;

	source.now = now;
	source.used = source.available = 0;
	source.left = round->count;
	FOR_EACH_ACCEPTED(call, round)
	{
		const pg_uuid_t *transaction_id = call->transaction_id;

		if (transaction_id == NULL)
		{
			sierra_uuid_generate(now, sierra_uuid_hash(&route->results[call->first].stream->key),
								 transactions, 1);
			transaction_id = transactions++;
		}
		for (int i = call->first; i < call->first + call->count; i++)
		{
			SierraNewEvent *event = &route->events[i];

			route->results[i].transaction_id = transaction_id;
			if (!event->has_event_id)
				take_id(&source, sierra_uuid_hash(&route->results[i].stream->key),
						&event->event_id);
		}
	}
}

/* The highest position in the partitions of the calls, or SIERRA_NONE. */
static int64
newest_position(const SierraRoute *route)
{
	int64 newest = SIERRA_NONE;

	for (int i = 0; i < route->npartitions; i++)
		newest = Max(newest, route->partitions[i].position);
	return newest;
}

static void
number_events(const Round *round, TimestampTz now, int64 position)
{
	const SierraRoute *route = round->route;

	FOR_EACH_ACCEPTED(call, round)
	{
		for (int i = call->first; i < call->first + call->count; i++)
		{
			SierraAppendResult *result = &route->results[i];
			SierraAppendPartition *partition = result->stream->target;

			CHECK_FOR_INTERRUPTS();
			partition->position = position++;
			result->global_position = partition->position;
			result->partition_sequence = ++partition->sequence;
			if (!route->events[i].has_timestamp)
				route->events[i].timestamp = now;
		}
	}
}

/*
 * Takes positions and fills the results.  False if the condition is about positions that the
 * store has not reached; such a call is the only one of its round.
 */
static bool
fill_results(const Round *round)
{
	SierraRoute *route = round->route;
	TimestampTz now = GetCurrentTimestamp();
	int64 position;

	/*
	 * Check again, under the locks: while we waited for them, another session may have
	 * loaded rows, and then the sequence of positions may be behind them.
	 */
	AcceptInvalidationMessages();
	sierra_position_check(route->store);
	fill_ids(round, now);
	sierra_route_begin_writing(route);
	position = sierra_position_take(route->store, round->count, newest_position(route));
	FOR_EACH_ACCEPTED(call, round)
	{
		call->status = sierra_condition_check_position(call, position);
		if (call->status == SIERRA_APPEND_DONE)
			continue;
		sierra_versions_take_back(route, call);
		return false;
	}
	number_events(round, now, position);
	return true;
}

/* Registers the keys of streams that the round creates. */
static void
write_keys(const Round *round)
{
	SierraRoute *route = round->route;
	SierraRegistryWriter keys = {NULL};

	FOR_EACH_ACCEPTED(call, round)
	{
		for (int i = call->first; i < call->first + call->count; i++)
		{
			SierraRouteStream *stream = route->results[i].stream;

			CHECK_FOR_INTERRUPTS();
			if (!stream->register_key)
				continue;
			if (keys.rel == NULL)
				sierra_registry_open_keys(route->store, route->estate, &keys);
			sierra_registry_add_key(&keys, stream->event->stream_id, &stream->key);
			stream->register_key = false;
		}
	}
	sierra_registry_close(&keys);
}

static int
compare_ids(const void *a, const void *b, void *events)
{
	const SierraNewEvent *event = events;

	return memcmp(&event[*(const int *) a].event_id, &event[*(const int *) b].event_id, UUID_LEN);
}

/*
 * Registers ids that clients chose, in their order: an entry waits for another transaction
 * that is adding the same id, and two transactions must not wait for each other.
 */
static void
write_ids(const Round *round)
{
	SierraRoute *route = round->route;
	SierraRegistryWriter ids = {NULL};
	int *order = NULL;
	int count = 0;

	FOR_EACH_ACCEPTED(call, round)
	{
		for (int i = call->first; i < call->first + call->count; i++)
		{
			if (!sierra_idempotency_must_register(route, i))
				continue;
			if (order == NULL)
				order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * round->count);
			order[count++] = i;
		}
	}
	if (count == 0)
		return;
	if (count > 1)
		qsort_arg(order, count, sizeof(int), compare_ids, route->events);
	sierra_registry_open_ids(route->store, route->estate, &ids);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_registry_add_id(&ids, &route->events[order[i]].event_id,
							   route->results[order[i]].stream->partition);
	}
	sierra_registry_close(&ids);
	pfree(order);
}

static void
write_tags(const Round *round)
{
	const SierraRoute *route = round->route;
	SierraRegistryWriter tags = {NULL};

	FOR_EACH_ACCEPTED(call, round)
	{
		for (int i = call->first; i < call->first + call->count; i++)
		{
			const SierraAppendResult *result = &route->results[i];

			CHECK_FOR_INTERRUPTS();
			if (route->events[i].tags == NULL)
				continue;
			if (tags.rel == NULL)
				sierra_registry_open_tags(route->store, route->estate, &tags);
			sierra_registry_add_tags(&tags, route->events[i].tags, result->global_position,
									 result->stream->partition, result->partition_sequence);
		}
	}
	sierra_registry_close(&tags);
}

/* Writes the events partition by partition, in the order of their numbers. */
static void
write_events(SierraInsert *insert, const Round *round)
{
	SierraRoute *route = round->route;
	int *order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * round->count);
	int *fill = palloc(sizeof(int) * route->npartitions);
	int start = 0;

	/* fill[l]: where the next event of partition l goes, in a counting sort */
	for (int l = 0; l < route->npartitions; l++)
	{
		fill[l] = start;
		start += route->partitions[l].pending;
	}
	FOR_EACH_ACCEPTED(call, round)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = call->first; i < call->first + call->count; i++)
			order[fill[route->results[i].stream->target - route->partitions]++] = i;
	}
	for (int l = 0; l < route->npartitions; l++)
	{
		int pending = route->partitions[l].pending;

		if (pending > 0)
			sierra_insert_events(insert, &route->partitions[l], order + fill[l] - pending, pending);
	}
	pfree(order);
	pfree(fill);
}

/* The bytes of the data that the round appends, for the counters. */
static int64
bytes_of(const Round *round)
{
	int64 bytes = 0;

	FOR_EACH_ACCEPTED(call, round)
	{
		for (int i = call->first; i < call->first + call->count; i++)
		{
			const SierraNewEvent *event = &round->route->events[i];

			if (event->payload != NULL)
				bytes += VARSIZE_ANY_EXHDR(event->payload);
			if (event->payload_bytes != NULL)
				bytes += VARSIZE_ANY_EXHDR(event->payload_bytes);
			if (event->metadata != NULL)
				bytes += VARSIZE_ANY_EXHDR(event->metadata);
		}
	}
	return bytes;
}

/* The first round begins to write. */
static void
begin(SierraWriter *writer, SierraRoute *route)
{
	MemoryContext round = MemoryContextSwitchTo(route->memory);

	/*
	 * Triggers must not fire before all rows of all calls are stored: a trigger that
	 * appends must get versions and sequences above those of these calls.
	 */
	AfterTriggerBeginQuery();
	writer->insert = (SierraInsert){.store = route->store,
									.estate = route->estate,
									.events = route->events,
									.results = route->results,
									.session_metadata = sierra_metadata_of_session()};
	writer->has_written = true;
	MemoryContextSwitchTo(round);
}

void
sierra_write_round(SierraWriter *writer, SierraRoute *route, int first, int end)
{
	Round round = {.route = route, .first = first, .end = end};
	int64 newest = SIERRA_NONE;

	count_events(&round);
	if (round.count == 0 || !fill_results(&round))
		return;
	if (!writer->has_written)
		begin(writer, route);
	newest = newest_position(route);
	sierra_position_begin_writing(route->store, newest - round.count + 1);
	/* What is known about the others must stay true for the calls of later rounds. */
	for (int l = 0; l < route->npartitions; l++)
	{
		if (route->partitions[l].is_written || end < route->ncalls)
			sierra_position_note_written(route->partitions[l].id);
	}
	write_keys(&round);
	write_ids(&round);
	write_tags(&round);
	write_events(&writer->insert, &round);
	sierra_idempotency_confirm(route, first, end);
	sierra_position_end_writing();
	sierra_early_release_note();
	sierra_doorbell_note_append(route->store, newest);
	if (sierra_shared != NULL)
		sierra_counters_note_appends(route->store, round.ncalls, round.count, bytes_of(&round));
}

void
sierra_write_end(SierraWriter *writer)
{
	EState *estate = writer->insert.estate;

	if (!writer->has_written)
		return;
	sierra_insert_end(&writer->insert);
	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
}
