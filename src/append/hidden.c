/*
 * hidden.c
 *		What an append must not say to a user from whom row-level security hides events.
 *
 * An append looks at all events, because numbers, versions and ids are those of the
 * store, whoever sees them.  What it answers can say something about events of others:
 * that a stream has another version or key, and which numbers a repeated event has.  So
 * the answer leaves out what the user could not read.
 *
 * A failed condition says that an event matches its query, and no more if the user could
 * not read this event.
 *
 * A user without the right SELECT cannot read anything, but has to know whether its own
 * append was a repetition.  So it gets the answer to a repetition; but then it had to
 * know id and stream of the event.
 */
#include "postgres.h"

#include "append/hidden.h"
#include "read/row_security.h"
#include "store/position.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/snapmgr.h"

static bool
may_read(const SierraStore *store)
{
	return pg_class_aclcheck(store->events, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/*
 * See what is committed by now and what this command wrote, as the append does.  A policy can
 * append.  If calls follow, it must not do so in the partitions of the route: their newest
 * numbers are known already, and must stay true.
 */
static void
begin_looking(const SierraRoute *route)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	sierra_position_begin_writing(route->store, PG_INT64_MAX);
	for (int i = 0; i < route->npartitions && route->ncalls > 1; i++)
		sierra_position_note_written(route->partitions[i].id);
}

static void
end_looking(void)
{
	sierra_position_end_writing();
	PopActiveSnapshot();
}

static bool
count_event(void *seen, Datum *values, bool *nulls)
{
	(*(int *) seen)++;
	return true;
}

bool
sierra_hidden_repetition(const SierraRoute *route, const SierraAppendCall *call)
{
	const SierraAppendResult *results = route->results;
	SierraSink *sink;
	int seen = 0;

	if (!sierra_store_has_row_security(route->store) || !may_read(route->store))
		return false;
	begin_looking(route);
	sink = sierra_row_security_sink(route->store, count_event, &seen, call->count);
	for (int i = call->first; i < call->first + call->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sierra_row_security_put(sink, results[i].stream->partition, results[i].partition_sequence);
	}
	sierra_row_security_finish(sink);
	end_looking();
	pfree(sink);
	return seen < call->count;
}

/* May the user read the event that a condition failed for? */
static bool
sees_found(const SierraRoute *route, const SierraFoundEvent *found)
{
	const SierraStore *store = route->store;
	SierraSink *sink;
	int seen = 0;

	if (!may_read(store))
		return false;
	if (!sierra_store_has_row_security(store))
		return true;
	begin_looking(route);
	sink = sierra_row_security_sink(store, count_event, &seen, 1);
	sierra_row_security_put(sink, found->partition, found->sequence);
	sierra_row_security_finish(sink);
	end_looking();
	pfree(sink);
	return seen > 0;
}

/* Is it an event of the call?  Otherwise it is a stream of the condition. */
static bool
is_of_call(const SierraRoute *route, const SierraAppendCall *call, const SierraNewEvent *event)
{
	const SierraNewEvent *first = &route->events[call->first];

	return event >= first && event < first + call->count;
}

/* The version of the stream without events of this call, which were counted already. */
static int64
stored_version(const SierraRoute *route, const SierraAppendCall *call)
{
	const SierraAppendResult *results = route->results;
	int64 version = call->refusal.current_version;
	int refused;

	if (!is_of_call(route, call, call->refusal.event))
		return version;
	refused = call->refusal.event - route->events;
	for (int i = call->first; i < refused; i++)
	{
		if (results[i].stream == results[refused].stream)
			version--;
	}
	return version;
}

void
sierra_hidden_censor(const SierraRoute *route, SierraAppendCall *call)
{
	SierraRefusal *refusal = &call->refusal;
	int64 stored = SIERRA_NONE;
	int64 version = SIERRA_NONE;
	bool sees_any = false;

	refusal->hidden =
		call->status == SIERRA_APPEND_CONDITION_FAILED && !sees_found(route, &refusal->found);
	if (call->status != SIERRA_APPEND_WRONG_VERSION && call->status != SIERRA_APPEND_KEY_MISMATCH)
		return;
	if (call->status == SIERRA_APPEND_WRONG_VERSION)
	{
		stored = stored_version(route, call);
		if (stored == SIERRA_NONE)
			return;
	}
	if (!sierra_store_has_row_security(route->store))
		return;
	if (may_read(route->store))
	{
		begin_looking(route);
		sees_any =
			sierra_row_security_stream_version(route->store, refusal->event->stream_id, &version);
		end_looking();
	}
	refusal->hidden = !sees_any || version < stored;
}
