/*
 * versions.c
 *		Expected versions: compares them with the streams, and numbers the events.
 */
#include "postgres.h"

#include "append/versions.h"
#include "base/guc.h"

#include "miscadmin.h"

static bool
is_expected(SierraExpectedVersion expected, int64 version)
{
	switch (expected)
	{
		case SIERRA_EXPECT_ANY:
			return true;
		case SIERRA_EXPECT_EXISTS:
			return version != SIERRA_NONE;
		case SIERRA_EXPECT_EMPTY:
			return version == SIERRA_NONE;
		default:
			return version == expected;
	}
}

/*
 * Strict versioning requires an expected version for each stream.  It is enough if the
 * first event of the call for a stream has one.
 */
static bool
is_strict(const SierraRoute *route, const SierraAppendCall *call, int i)
{
	SierraExpectedVersion expected = route->events[i].expected;

	if (!sierra_guc_strict_versioning ||
		route->results[i].stream->newest_call == call - route->calls)
		return true;
	return expected != SIERRA_EXPECT_ANY && expected != SIERRA_EXPECT_EXISTS;
}

/* Compares the versions that the condition expects of streams. */
static SierraAppendStatus
check_streams(SierraAppendCall *call)
{
	for (int i = 0; i < call->condition->stream_count; i++)
	{
		const SierraRouteStream *stream = call->checked[i];
		const SierraNewEvent *check = &call->condition->streams[i];

		if (stream == NULL || is_expected(check->expected, stream->version))
			continue;
		call->refusal.event = check;
		call->refusal.current_version = stream->version;
		return SIERRA_APPEND_WRONG_VERSION;
	}
	return SIERRA_APPEND_DONE;
}

static SierraAppendStatus
number_event(const SierraRoute *route, SierraAppendCall *call, int i)
{
	SierraRouteStream *stream = route->results[i].stream;

	call->refusal.event = &route->events[i];
	if (!is_strict(route, call, i))
		return SIERRA_APPEND_NOT_STRICT;
	if (!is_expected(route->events[i].expected, stream->version))
	{
		call->refusal.current_version = stream->version;
		return SIERRA_APPEND_WRONG_VERSION;
	}
	route->results[i].stream_version = ++stream->version;
	stream->newest_call = call - route->calls;
	return SIERRA_APPEND_DONE;
}

/* Takes back the versions of the events before this one. */
static void
take_back(SierraRoute *route, const SierraAppendCall *call, int end)
{
	for (int i = call->first; i < end; i++)
		route->results[i].stream->version--;
}

void
sierra_versions_take_back(SierraRoute *route, const SierraAppendCall *call)
{
	take_back(route, call, call->first + call->count);
}

SierraAppendStatus
sierra_versions_number(SierraRoute *route, SierraAppendCall *call)
{
	if (call->checked != NULL && check_streams(call) != SIERRA_APPEND_DONE)
		return SIERRA_APPEND_WRONG_VERSION;
	for (int i = call->first; i < call->first + call->count; i++)
	{
		SierraAppendStatus status;

		CHECK_FOR_INTERRUPTS();
		status = number_event(route, call, i);
		if (status == SIERRA_APPEND_DONE)
			continue;
		take_back(route, call, i);
		return status;
	}
	return SIERRA_APPEND_DONE;
}
