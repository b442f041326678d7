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
is_strict(const SierraRoute *route, const SierraAppendResult *results, int i)
{
	SierraExpectedVersion expected = route->events[i].expected;

	if (!sierra_guc_strict_versioning || results[i].stream->event != &route->events[i])
		return true;
	return expected != SIERRA_EXPECT_ANY && expected != SIERRA_EXPECT_EXISTS;
}

/* Compares the versions that the condition expects of streams without events in the call. */
static SierraAppendStatus
check_streams(const SierraRoute *route, SierraRefusal *refusal)
{
	for (int i = 0; i < route->nstreams && route->nchecked > 0; i++)
	{
		const SierraRouteStream *stream = &route->streams[i];

		if (!stream->is_checked || is_expected(stream->event->expected, stream->version))
			continue;
		refusal->event = stream->event;
		refusal->current_version = stream->version;
		return SIERRA_APPEND_WRONG_VERSION;
	}
	return SIERRA_APPEND_DONE;
}

SierraAppendStatus
sierra_versions_number(SierraRoute *route, SierraAppendResult *results, SierraRefusal *refusal)
{
	if (check_streams(route, refusal) != SIERRA_APPEND_DONE)
		return SIERRA_APPEND_WRONG_VERSION;
	for (int i = 0; i < route->count; i++)
	{
		SierraRouteStream *stream = results[i].stream;

		CHECK_FOR_INTERRUPTS();
		if (!is_strict(route, results, i))
		{
			refusal->event = &route->events[i];
			return SIERRA_APPEND_NOT_STRICT;
		}
		if (!is_expected(route->events[i].expected, stream->version))
		{
			refusal->event = &route->events[i];
			refusal->current_version = stream->version;
			return SIERRA_APPEND_WRONG_VERSION;
		}
		results[i].stream_version = ++stream->version;
	}
	return SIERRA_APPEND_DONE;
}
