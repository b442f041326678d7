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
 *	   partitions are written; take the positions		(write.c, route.c, position.c)
 *	7. write rows and index entries						(write.c, insert.c)
 *	8. fire AFTER ROW triggers							(write.c)
 *
 * Many calls can be appended at once.  They share all steps but 5 to 7: these are done by rounds,
 * as some calls must find the events of those before them.
 *
 * Nothing is written up to step 5, so a refusal does not change anything.  The locks
 * are held until the end of the transaction.  So versions and sequences are gapless,
 * and the events of a partition become visible in the order of their sequences.
 */
#include "postgres.h"

#include "append/append.h"
#include "append/hidden.h"
#include "append/idempotency.h"
#include "append/route.h"
#include "append/tag_locks.h"
#include "append/versions.h"
#include "append/write.h"
#include "store/durable.h"
#include "store/extension.h"
#include "store/position.h"
#include "wakeup/counters.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"

static bool
has_query(const SierraRoute *route)
{
	for (int c = 0; c < route->ncalls; c++)
	{
		if (route->calls[c].condition != NULL && route->calls[c].condition->has_query)
			return true;
	}
	return false;
}

/*
 * While the events of an append are written, a trigger must not append to the same
 * partitions: it would take numbers that these events have already.  Nor may it rely on what
 * is there: the events that are still to be written are not found yet.  So that holds for
 * partitions that are only looked at too, and a query can match events of any partition.
 */
static void
refuse_nested(const SierraRoute *route)
{
	const char *hint = "Append in an AFTER trigger.";

	if (has_query(route) && sierra_position_being_written(route->store) != PG_INT64_MAX)
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
		case SIERRA_APPEND_POSITION_NOT_REACHED:
			sierra_counters_count(store, SIERRA_COUNT_CONDITIONS);
			return;
		case SIERRA_APPEND_KEY_MISMATCH:
		case SIERRA_APPEND_DUPLICATE_EVENT:
		case SIERRA_APPEND_NOT_STRICT:
			sierra_counters_count(store, SIERRA_COUNT_REFUSED);
			return;
	}
}

/*
 * Is the call to be decided and written by itself?  A query must find the events of the calls
 * before it, and so must policies.  A disputed stream gets its key from the call that creates it.
 */
static bool
is_alone(const SierraRoute *route, const SierraAppendCall *call)
{
	if (call->condition != NULL || sierra_store_has_row_security(route->store))
		return true;
	for (int i = call->first; i < call->first + call->count && route->has_disputes; i++)
	{
		if (route->results[i].stream->is_disputed)
			return true;
	}
	return false;
}

/*
 * Divides the calls into rounds.  The events of a round are looked for and written together.  So
 * an event id of a call must not be one of an earlier call of its round.
 */
static void
plan_rounds(SierraRoute *route)
{
	HTAB *seen = sierra_idempotency_begin(route);
	bool was_alone = false;
	int first = 0;

	for (int c = 0; c < route->ncalls; c++)
	{
		SierraAppendCall *call = &route->calls[c];
		bool alone = route->ncalls > 1 && is_alone(route, call);

		call->begins_round = sierra_idempotency_note(route, seen, c, first) || alone || was_alone;
		if (call->begins_round)
			first = c;
		was_alone = alone;
	}
	if (seen != NULL)
		hash_destroy(seen);
}

/* Decides, under the locks of the route: DONE if the events are to be written. */
static SierraAppendStatus
decide(SierraRoute *route, SierraAppendCall *call)
{
	SierraAppendStatus status = sierra_idempotency_judge(route, call);

	if (status == SIERRA_APPEND_DONE)
		status = sierra_versions_number(route, call);
	if (status != SIERRA_APPEND_DONE)
		return status;
	status = sierra_condition_check(route, call);
	if (status != SIERRA_APPEND_DONE)
		sierra_versions_take_back(route, call);
	return status;
}

static void
run_round(SierraWriter *writer, SierraRoute *route, int first, int end)
{
	const SierraAppendCall *last = &route->calls[end - 1];

	for (int c = first; c < end; c++)
		route->calls[c].status = sierra_route_check(route, &route->calls[c]);
	sierra_idempotency_look(route, route->calls[first].first, last->first + last->count);
	for (int c = first; c < end; c++)
	{
		SierraAppendCall *call = &route->calls[c];

		if (call->status == SIERRA_APPEND_DONE)
			call->status = decide(route, call);
		sierra_hidden_censor(route, call);
	}
	sierra_write_round(writer, route, first, end);
}

/* Each round of many calls has memory of its own, because there can be a round for each call. */
static void
run_rounds(SierraWriter *writer, SierraRoute *route)
{
	MemoryContext memory = route->memory;
	int end;

	plan_rounds(route);
	if (route->ncalls > 1)
		memory = AllocSetContextCreate(route->memory, "sierra_es round of calls",
									   ALLOCSET_DEFAULT_SIZES);
	for (int first = 0; first < route->ncalls; first = end)
	{
		end = first + 1;
		while (end < route->ncalls && !route->calls[end].begins_round)
			end++;
		MemoryContextSwitchTo(memory);
		run_round(writer, route, first, end);
		MemoryContextSwitchTo(route->memory);
		if (memory != route->memory)
			MemoryContextReset(memory);
	}
	if (memory != route->memory)
		MemoryContextDelete(memory);
}

void
sierra_append_calls(const SierraStore *store, SierraNewEvent *events, SierraAppendCall *calls,
					int ncalls, SierraAppendResult *results)
{
	const SierraAppendCall *last = &calls[ncalls - 1];
	SierraRoute route = {.store = store,
						 .events = events,
						 .count = last->first + last->count,
						 .calls = calls,
						 .ncalls = ncalls,
						 .results = results,
						 .memory = CurrentMemoryContext};
	SierraWriter writer = {.has_written = false};
	SierraTagLocks tags;
	bool has_repeated = false;

	refuse_read_only(store);
	/* It looks into all partitions: better now than under the locks, where it is done again. */
	sierra_position_check(store);
	sierra_tag_locks_take(store, events, calls, ncalls, &tags);
	route.estate = CreateExecutorState();
	sierra_route_open(&route);
	refuse_nested(&route);
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		refuse_replica_role(&route);
	run_rounds(&writer, &route);
	sierra_write_end(&writer);
	if (!writer.has_written)
		sierra_route_unlock(&route);
	sierra_route_close(&route);
	if (!writer.has_written)
		sierra_tag_locks_release(store, &tags);
	FreeExecutorState(route.estate);
	for (int c = 0; c < ncalls; c++)
	{
		calls[c].refusal.store = store;
		count_refusal(store, calls[c].status);
		has_repeated |= calls[c].status == SIERRA_APPEND_REPEATED;
	}
	/* The first append may have committed asynchronously. */
	if (has_repeated)
		sierra_make_durable();
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
	SierraAppendCall call = {
		.count = count, .key = key, .condition = condition, .transaction_id = transaction_id};

	sierra_append_calls(store, events, &call, 1, results);
	if (call.status != SIERRA_APPEND_DONE)
		*refusal = call.refusal;
	return call.status;
}
