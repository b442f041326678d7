/*
 * append.c
 *		Appends events to streams.
 *
 * Every append takes these steps; each of them depends on the ones before:
 *
 *	1. lock the tags, in the order of their keys		(tag_locks.c)
 *	2. open the partitions and their indexes			(route.c, append_partition.c)
 *	3. lock the partitions, in ascending order			(partition_lock.c)
 *	4. read the newest event of streams and partitions	(route.c)
 *	5. refuse: partition key, isolation, event ids,
 *	   expected versions, query of the condition		(route.c, idempotency.c, versions.c,
 *														 condition.c)
 *	6. number the events; show readers that the
 *	   partitions are written; take the positions		(here, route.c, position.c)
 *	7. write rows and index entries						(insert.c)
 *	8. fire AFTER ROW triggers							(here)
 *
 * Nothing is written up to step 5, so a refusal does not change anything.  The locks
 * are held until the end of the transaction.  So versions and sequences are gapless,
 * and the events of a partition become visible in the order of their sequences.
 */
#include "postgres.h"

#include "append/append.h"
#include "append/hidden.h"
#include "append/idempotency.h"
#include "append/insert.h"
#include "append/metadata.h"
#include "append/route.h"
#include "append/tag_locks.h"
#include "append/versions.h"
#include "base/routing.h"
#include "store/early_release.h"
#include "store/extension.h"
#include "store/position.h"
#include "store/registry.h"
#include "wakeup/counters.h"
#include "wakeup/doorbell.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/inval.h"

/* How many ids are generated at a time. */
#define IDS_AT_ONCE 64

/* Generates the ids of the events, unless they have one, and the id of the transaction. */
static void
fill_ids(SierraRoute *route, TimestampTz now, SierraAppendResult *results)
{
	pg_uuid_t ids[IDS_AT_ONCE];
	pg_uuid_t *generated = palloc(sizeof(pg_uuid_t));
	const pg_uuid_t *transaction_id =
		route->transaction_id != NULL ? route->transaction_id : generated;

	sierra_uuid_generate(now, sierra_uuid_hash(&results[0].stream->key), generated, 1);
	for (int i = 0; i < route->count; i++)
	{
		SierraNewEvent *event = &route->events[i];

		if (i % IDS_AT_ONCE == 0)
		{
			CHECK_FOR_INTERRUPTS();
			sierra_uuid_generate(now, 0, ids, Min(IDS_AT_ONCE, route->count - i));
		}
		results[i].transaction_id = transaction_id;
		if (event->has_event_id)
			continue;
		event->event_id = ids[i % IDS_AT_ONCE];
		sierra_uuid_set_hash(&event->event_id, sierra_uuid_hash(&results[i].stream->key));
	}
}

/* The highest position in the partitions of the call, or SIERRA_NONE. */
static int64
newest_position(const SierraRoute *route)
{
	int64 newest = SIERRA_NONE;

	for (int i = 0; i < route->npartitions; i++)
		newest = Max(newest, route->partitions[i].position);
	return newest;
}

static void
fill_results(SierraRoute *route, SierraAppendResult *results)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 position;

	/*
	 * Check again, under the locks: while we waited for them, another session may have
	 * loaded rows, and then the sequence of positions may be behind them.
	 */
	AcceptInvalidationMessages();
	sierra_position_check(route->store);
	fill_ids(route, now, results);
	sierra_route_begin_writing(route);
	position = sierra_position_take(route->store, route->count, newest_position(route));
	for (int i = 0; i < route->count; i++)
	{
		SierraAppendPartition *partition = results[i].stream->target;

		CHECK_FOR_INTERRUPTS();
		partition->position = position + i;
		results[i].global_position = partition->position;
		results[i].partition_sequence = ++partition->sequence;
		if (!route->events[i].has_timestamp)
			route->events[i].timestamp = now;
	}
}

static void
write_companions(SierraRoute *route, const SierraAppendResult *results)
{
	SierraRegistryWriter keys = {NULL};
	SierraRegistryWriter ids = {NULL};
	SierraRegistryWriter tags = {NULL};

	for (int i = 0; i < route->nstreams; i++)
	{
		const SierraRouteStream *stream = &route->streams[i];

		CHECK_FOR_INTERRUPTS();
		if (!stream->register_key)
			continue;
		if (keys.rel == NULL)
			sierra_registry_open_keys(route->store, route->estate, &keys);
		sierra_registry_add_key(&keys, stream->event->stream_id, &stream->key);
	}
	for (int i = 0; i < route->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!route->events[i].has_event_id)
			continue;
		if (ids.rel == NULL)
			sierra_registry_open_ids(route->store, route->estate, &ids);
		sierra_registry_add_id(&ids, &route->events[i].event_id, results[i].stream->partition);
	}
	for (int i = 0; i < route->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (route->events[i].tags == NULL)
			continue;
		if (tags.rel == NULL)
			sierra_registry_open_tags(route->store, route->estate, &tags);
		sierra_registry_add_tags(&tags, route->events[i].tags, results[i].global_position,
								 results[i].stream->partition, results[i].partition_sequence);
	}
	sierra_registry_close(&keys);
	sierra_registry_close(&ids);
	sierra_registry_close(&tags);
}

/* Writes the events partition by partition, in the order of their numbers. */
static void
write_events(SierraRoute *route, SierraAppendResult *results)
{
	SierraInsert insert = {.store = route->store,
						   .estate = route->estate,
						   .events = route->events,
						   .results = results,
						   .session_metadata = sierra_metadata_of_session()};
	int *order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * route->count);
	int *fill = palloc0(sizeof(int) * (route->npartitions + 1));
	int start = 0;

	/* fill[l]: where the next event of partition l goes, after a counting sort */
	for (int i = 0; i < route->count; i++)
		fill[results[i].stream->target - route->partitions + 1]++;
	for (int l = 0; l < route->npartitions; l++)
		fill[l + 1] += fill[l];
	for (int i = 0; i < route->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		order[fill[results[i].stream->target - route->partitions]++] = i;
	}

	for (int l = 0; l < route->npartitions; l++)
	{
		if (fill[l] > start)
			sierra_insert_events(&insert, &route->partitions[l], order + start, fill[l] - start);
		start = fill[l];
	}
	sierra_insert_end(&insert);
	pfree(order);
	pfree(fill);
}

/* The bytes of the data that a call appends, for the counters. */
static int64
bytes_of(const SierraRoute *route)
{
	int64 bytes = 0;

	for (int i = 0; i < route->count; i++)
	{
		const SierraNewEvent *event = &route->events[i];

		if (event->payload != NULL)
			bytes += VARSIZE_ANY_EXHDR(event->payload);
		if (event->payload_bytes != NULL)
			bytes += VARSIZE_ANY_EXHDR(event->payload_bytes);
		if (event->metadata != NULL)
			bytes += VARSIZE_ANY_EXHDR(event->metadata);
	}
	return bytes;
}

static void
write_append(SierraRoute *route, SierraAppendResult *results)
{
	/*
	 * Triggers must not fire before all rows of the call are stored: a trigger that
	 * appends must get versions and sequences above those of this call.
	 */
	AfterTriggerBeginQuery();
	sierra_position_begin_writing(route->store, results[0].global_position);
	for (int i = 0; i < route->npartitions; i++)
	{
		if (route->partitions[i].is_written)
			sierra_position_note_written(route->partitions[i].id);
	}
	write_companions(route, results);
	write_events(route, results);
	sierra_position_end_writing();
	sierra_early_release_note();
	sierra_doorbell_note_append(route->store, results[route->count - 1].global_position);
	if (sierra_shared != NULL)
		sierra_counters_note_append(route->store, route->count, bytes_of(route));
	AfterTriggerEndQuery(route->estate);
	ExecResetTupleTable(route->estate->es_tupleTable, false);
	ExecCloseResultRelations(route->estate);
}

/*
 * While the events of an append are written, a trigger must not append to the same
 * partitions: it would take numbers that these events have already.  Nor may it rely on what
 * is there: the events that are still to be written are not found yet.  So that holds for
 * partitions that are only looked at too, and a query can match events of any partition.
 */
static void
refuse_nested(const SierraRoute *route, const SierraCondition *condition)
{
	const char *hint = "Append in an AFTER trigger.";

	if (condition != NULL && condition->has_query &&
		sierra_position_being_written(route->store) != PG_INT64_MAX)
		ereport(
			ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg("cannot check a condition on event store \"%s\" while an append writes to it",
				   NameStr(route->store->name)),
			errdetail("A BEFORE trigger, policy, constraint or default of the append appends "
					  "with a condition, which would not find the events of the append."),
			errhint("%s", hint));
	for (int i = 0; i < route->npartitions; i++)
	{
		const SierraAppendPartition *partition = &route->partitions[i];

		if (!sierra_position_writes_partition(route->store, partition->id))
			continue;
		ereport(
			ERROR, errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			partition->is_written
				? errmsg("cannot append to partition %d of event store \"%s\" while an append "
						 "writes to it",
						 partition->id, NameStr(route->store->name))
				: errmsg("cannot look for streams in partition %d of event store \"%s\" while an "
						 "append writes to it",
						 partition->id, NameStr(route->store->name)),
			partition->is_written
				? errdetail("A BEFORE trigger, policy, constraint or default of the append appends "
							"to the same partition.")
				: errdetail("A BEFORE trigger, policy, constraint or default of the append appends "
							"with a partition key or a condition, which depends on what is in the "
							"same partition."),
			errhint("%s", hint));
	}
}

/* Does the table have triggers of inline projections that do not fire for a replica? */
static bool
has_skipped_projection(const SierraAppendPartition *partition, Oid project_inline)
{
	const TriggerDesc *triggers = partition->rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (triggers->triggers[i].tgfoid == project_inline &&
			triggers->triggers[i].tgenabled == TRIGGER_FIRES_ON_ORIGIN)
			return true;
	}
	return false;
}

/* An inline projection must not miss an event that is appended here. */
static void
refuse_replica_role(const SierraRoute *route)
{
	Oid project_inline = sierra_extension_find_function("project_inline", 0, NULL);

	for (int i = 0; i < route->npartitions; i++)
	{
		if (!has_skipped_projection(&route->partitions[i], project_inline))
			continue;
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("cannot append as a replica to event store \"%s\"", NameStr(route->store->name)),
			errdetail("Its inline projections would miss the events, because "
					  "\"session_replication_role\" is \"replica\"."),
			errhint("RESET session_replication_role."));
	}
}

/* An append must not be part of a transaction that cannot write, or of a replica. */
static void
refuse_read_only(const SierraStore *store)
{
	PreventCommandDuringRecovery("an append");
	PreventCommandIfReadOnly("an append");
	PreventCommandIfParallelMode("an append");
	if (store->subscribed)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("cannot append while logical replication writes to the store"),
				errdetail("New events would take the versions and sequences of events that "
						  "are still to arrive."),
				errhint("Append on the publisher, or drop the subscription first."));
}

/* Decides, under the locks of the route: DONE if the events are to be written. */
static SierraAppendStatus
decide(SierraRoute *route, const SierraCondition *condition, SierraAppendResult *results,
	   SierraRefusal *refusal)
{
	SierraAppendStatus status;

	refuse_nested(route, condition);
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		refuse_replica_role(route);
	status = sierra_idempotency_check(route, results, refusal);
	if (status == SIERRA_APPEND_DONE)
		status = sierra_versions_number(route, results, refusal);
	if (status == SIERRA_APPEND_DONE)
		status = sierra_condition_check(route, condition, refusal);
	return status;
}

/* Counts an append that writes nothing. */
static void
count_refusal(const SierraStore *store, SierraAppendStatus status)
{
	switch (status)
	{
		case SIERRA_APPEND_DONE:
			return;
		case SIERRA_APPEND_REPEATED:
			sierra_counters_count(store, SIERRA_COUNT_REPEATED);
			return;
		case SIERRA_APPEND_WRONG_VERSION:
		case SIERRA_APPEND_NOT_SERIALIZABLE:
			sierra_counters_count(store, SIERRA_COUNT_CONFLICTS);
			return;
		case SIERRA_APPEND_CONDITION_FAILED:
			sierra_counters_count(store, SIERRA_COUNT_CONDITIONS);
			return;
		case SIERRA_APPEND_KEY_MISMATCH:
		case SIERRA_APPEND_DUPLICATE_EVENT:
		case SIERRA_APPEND_NOT_STRICT:
			sierra_counters_count(store, SIERRA_COUNT_REFUSED);
			return;
	}
}

SierraAppendStatus
sierra_append(const SierraStore *store, const pg_uuid_t *key, SierraNewEvent *events, int count,
			  const SierraCondition *condition, SierraAppendResult *results, SierraRefusal *refusal)
{
	return sierra_append_with_id(store, key, events, count, condition, NULL, results, refusal);
}

SierraAppendStatus
sierra_append_with_id(const SierraStore *store, const pg_uuid_t *key, SierraNewEvent *events,
					  int count, const SierraCondition *condition, const pg_uuid_t *transaction_id,
					  SierraAppendResult *results, SierraRefusal *refusal)
{
	SierraRoute route = {.store = store,
						 .key = key,
						 .events = events,
						 .count = count,
						 .transaction_id = transaction_id};
	SierraTagLocks tags;
	SierraAppendStatus status;

	refuse_read_only(store);
	sierra_position_check(store);

	refusal->store = store;
	if (condition != NULL)
	{
		route.checked = condition->streams;
		route.nchecked = condition->stream_count;
	}
	sierra_tag_locks_take(store, events, count, condition, &tags);
	route.estate = CreateExecutorState();
	status = sierra_route_open(&route, results, refusal);
	if (status == SIERRA_APPEND_DONE)
	{
		status = decide(&route, condition, results, refusal);
		if (status == SIERRA_APPEND_DONE)
		{
			fill_results(&route, results);
			sierra_condition_check_position(store, condition, results[0].global_position);
			write_append(&route, results);
		}
		else
			sierra_route_unlock(&route);
		sierra_route_close(&route);
	}
	if (status != SIERRA_APPEND_DONE)
		sierra_tag_locks_release(store, &tags);
	count_refusal(store, status);
	sierra_hidden_censor(&route, results, status, refusal);
	FreeExecutorState(route.estate);
	return status;
}
