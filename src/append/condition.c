/*
 * condition.c
 *		Conditions: an append is refused if its decision rests on facts that have changed.
 *
 * A client reads the events that match a query, up to the horizon, and decides.  Its append
 * names the query and the horizon.  It is refused if an event above the horizon matches.  This is
 * exact, because no transaction that could add such an event runs at the same time: each append
 * locks the tags of its events, or the whole store is locked (tag_locks.c).
 */
#include "postgres.h"

#include "append/condition.h"
#include "base/json_slice.h"
#include "base/stream_map.h"
#include "read/query_probe.h"
#include "store/scan.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef enum Member
{
	MEMBER_QUERY,
	MEMBER_AFTER,
	MEMBER_STREAMS,
	MEMBER_COUNT
} Member;

static const char *const member_names[MEMBER_COUNT] = {"query", "after", "streams"};

#define HINT_CONDITION                                                                             \
	"Pass {\"query\": [{\"types\": [...], \"tags\": [...]}, ...], \"after\": ehead(), "            \
	"\"streams\": {\"...\": version, ...}}."

static void
refuse(const char *message, const char *detail)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
			errdetail("%s", detail), errhint(HINT_CONDITION));
}

static Member
read_member_name(SierraSlice quoted)
{
	SierraSlice name = sierra_slice_unescape(quoted);

	for (int member = 0; member < MEMBER_COUNT; member++)
	{
		if (sierra_slice_is(name, member_names[member]))
			return member;
	}
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("a condition has no member \"%s\"", sierra_slice_shown(name)),
			errdetail("The members are query, after and streams."), errhint(HINT_CONDITION));
}

/* A position, or -1 for "before all events". */
static int64
read_after(SierraSlice slice)
{
	char *value = pnstrdup(slice.start, slice.length);
	char *end;
	int64 after;

	errno = 0;
	after = strtoi64(value, &end, 10);
	if (errno != 0 || *end != '\0' || after < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("member \"after\" of a condition must be a position"),
				errdetail("It is %s.", value),
				errhint("Pass the number that ehead() returned before the facts were read, or -1 "
						"if no event may match at all."));
	return after;
}

static SierraExpectedVersion
read_expected_version(const text *stream_id, SierraSlice slice)
{
	SierraExpectedVersion expected;
	SierraSlice value;
	char *string;

	if (sierra_slice_is(slice, "null"))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("an expected version in a condition must not be null"),
				errdetail("It is null for stream \"%s\".", text_to_cstring(stream_id)),
				errhint("Use \"empty\" for a stream that must not have events; leave the stream "
						"out for no expectation."));
	value = sierra_slice_unescape(slice);
	string = pnstrdup(value.start, value.length);
	if (!sierra_expected_version_parse(string, &expected))
		ereport(ERROR, errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("invalid expected version: \"%s\"", string),
				errdetail("Stream \"%s\" of the condition has it.", text_to_cstring(stream_id)),
				errhint("Use any, exists, empty or a version from 0 on."));
	return expected;
}

static void
read_streams(SierraSlice slice, SierraCondition *condition)
{
	SierraJsonReader reader;
	SierraJsonMember member;
	int capacity = 4;

	if (!sierra_json_begin_object(&reader, sierra_slice_text(slice)))
		refuse("member \"streams\" of a condition must be an object", "It is another value.");
	condition->streams = palloc(sizeof(SierraNewEvent) * capacity);
	while (sierra_json_next_member(&reader, &member))
	{
		SierraNewEvent *stream;

		if (condition->stream_count == SIERRA_CONDITION_STREAMS_MAX)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a condition must not have more than %d streams",
						   SIERRA_CONDITION_STREAMS_MAX),
					errhint("Use a query for facts of many streams."));
		if (condition->stream_count == capacity)
		{
			capacity *= 2;
			condition->streams = repalloc(condition->streams, sizeof(SierraNewEvent) * capacity);
		}
		stream = &condition->streams[condition->stream_count];
		*stream = (SierraNewEvent){0};
		stream->stream_id = sierra_slice_text(sierra_slice_unescape(member.name));
		sierra_event_check_name("a stream of a condition", stream->stream_id);
		for (int i = 0; i < condition->stream_count; i++)
		{
			if (sierra_text_equal(condition->streams[i].stream_id, stream->stream_id))
				refuse("a stream of a condition occurs twice",
					   psprintf("It is \"%s\".", text_to_cstring(stream->stream_id)));
		}
		stream->expected = read_expected_version(stream->stream_id, member.value);
		condition->stream_count++;
	}
}

/* Which members there are has been checked. */
static void
read_members(const SierraSlice *values, SierraCondition *condition)
{
	if (values[MEMBER_QUERY].start != NULL)
	{
		condition->has_query = true;
		sierra_event_query_parse(sierra_slice_text(values[MEMBER_QUERY]), &condition->query);
		condition->after = read_after(values[MEMBER_AFTER]);
	}
	if (values[MEMBER_STREAMS].start != NULL)
		read_streams(values[MEMBER_STREAMS], condition);
}

void
sierra_condition_parse(const text *json, SierraCondition *condition)
{
	SierraSlice values[MEMBER_COUNT] = {{NULL, 0}};
	SierraJsonReader reader;
	SierraJsonMember read;

	*condition = (SierraCondition){.has_query = false};
	if (!sierra_json_begin_object(&reader, json))
		refuse("a condition must be a JSON object", "It is another value.");
	while (sierra_json_next_member(&reader, &read))
	{
		Member member = read_member_name(read.name);

		if (values[member].start != NULL)
			refuse("a member of a condition occurs twice",
				   psprintf("It is \"%s\".", member_names[member]));
		values[member] = read.value;
	}
	for (int member = 0; member < MEMBER_COUNT; member++)
	{
		/* A null must not have the effect of "no condition", nor that of "all events". */
		if (values[member].start != NULL && sierra_slice_is(values[member], "null"))
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("member \"%s\" of a condition must not be null", member_names[member]),
					errhint("Leave the member out, or use \"query\": [] for all events."));
	}
	if (values[MEMBER_QUERY].start != NULL && values[MEMBER_AFTER].start == NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a condition with a query must have the member \"after\""),
				errhint("Pass the number that ehead() returned before the facts were read, or -1 "
						"if no event may match at all."));
	if (values[MEMBER_QUERY].start == NULL && values[MEMBER_AFTER].start != NULL)
		refuse("a condition with the member \"after\" must have a query",
			   "Without a query, no event is looked for.");
	if (values[MEMBER_QUERY].start == NULL && values[MEMBER_STREAMS].start == NULL)
		refuse("a condition must have a query or streams", "It has neither.");
	read_members(values, condition);
}

/* A stream with events in the call has its expected version there. */
static void
refuse_other_expectation(const SierraNewEvent *event, const SierraNewEvent *checked)
{
	if (event->expected == checked->expected)
		return;
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("the call appends to stream \"%s\" of its condition",
				   text_to_cstring(checked->stream_id)),
			errdetail("The first event for the stream expects version %s, the condition %s.",
					  sierra_expected_version_text(event->expected),
					  sierra_expected_version_text(checked->expected)),
			errhint("Pass the version as expected_version of the event, and leave the stream out "
					"of the condition."));
}

void
sierra_condition_check_events(const SierraCondition *condition, const SierraNewEvent *events,
							  int count)
{
	for (int i = 0; condition != NULL && i < condition->stream_count; i++)
	{
		const SierraNewEvent *checked = &condition->streams[i];
		int first = 0;

		CHECK_FOR_INTERRUPTS();
		while (first < count && !sierra_text_equal(events[first].stream_id, checked->stream_id))
			first++;
		if (first < count)
			refuse_other_expectation(&events[first], checked);
	}
}

/*
 * Under REPEATABLE READ and SERIALIZABLE: does the transaction see the event, or has it
 * written it?  Otherwise it would not find the event if it read again.
 */
static bool
sees(const SierraStore *store, const SierraFoundEvent *found)
{
	Relation rel = sierra_scan_open_partition(store, found->partition, AccessShareLock);
	Relation index = sierra_scan_open_index(rel, SIERRA_INDEX_SEQUENCE);
	ScanKeyData key;
	SierraScan scan;
	bool seen;

	sierra_scan_begin(&scan, rel, index, true, SnapshotSelf, 1);
	sierra_scan_key_int8(&key, 1, BTEqualStrategyNumber, found->sequence);
	sierra_scan_rescan(&scan, &key);
	seen = sierra_scan_next(&scan, ForwardScanDirection) &&
		   !sierra_append_partition_is_after_snapshot(rel, scan.slot);
	sierra_scan_end(&scan);
	relation_close(rel, NoLock);
	return seen;
}

/* Copies a text that a refusal needs after the round. */
static void
keep(const SierraRoute *route, text **value)
{
	MemoryContext round = MemoryContextSwitchTo(route->memory);

	*value = DatumGetTextPCopy(PointerGetDatum(*value));
	MemoryContextSwitchTo(round);
}

SierraAppendStatus
sierra_condition_check(const SierraRoute *route, SierraAppendCall *call)
{
	const SierraCondition *condition = call->condition;
	SierraRefusal *refusal = &call->refusal;

	if (condition == NULL || !condition->has_query ||
		!sierra_query_find_first(route->store, &condition->query, condition->after, condition->seen,
								 condition->seen_count, &refusal->found))
		return SIERRA_APPEND_DONE;
	keep(route, &refusal->found.stream_id);
	keep(route, &refusal->found.event_name);
	refusal->event = NULL;
	refusal->after = condition->after;
	if (IsolationUsesXactSnapshot() && !sees(route->store, &refusal->found))
		return SIERRA_APPEND_NOT_SERIALIZABLE;
	return SIERRA_APPEND_CONDITION_FAILED;
}

SierraAppendStatus
sierra_condition_check_position(SierraAppendCall *call, int64 position)
{
	const SierraCondition *condition = call->condition;

	if (condition == NULL || !condition->has_query || position > condition->after)
		return SIERRA_APPEND_DONE;
	call->refusal.event = NULL;
	call->refusal.after = condition->after;
	call->refusal.position = position;
	return SIERRA_APPEND_POSITION_NOT_REACHED;
}
