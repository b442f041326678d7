/*
 * refusal.c
 *		Refusals: why an append was refused, as an error for SQL.
 */
#include "postgres.h"

#include "append/refusal.h"
#include "base/errors.h"
#include "base/routing.h"
#include "store/early_release.h"

#include "utils/builtins.h"

static void
report_wrong_version(const SierraRefusal *refusal)
{
	SierraExpectedVersion current =
		refusal->current_version == SIERRA_NONE ? SIERRA_EXPECT_EMPTY : refusal->current_version;
	char *stream = text_to_cstring(refusal->event->stream_id);

	ereport(ERROR, errcode(ERRCODE_SIERRA_WRONG_VERSION),
			errmsg("wrong expected version of stream \"%s\"", stream),
			refusal->hidden
				? errdetail("Stream \"%s\": expected version %s.", stream,
							sierra_expected_version_text(refusal->event->expected))
				: errdetail("Stream \"%s\": expected version %s, current version %s.", stream,
							sierra_expected_version_text(refusal->event->expected),
							sierra_expected_version_text(current)),
			errhint("Read the stream again, decide again, and append with its current version."));
}

static void
report_key_mismatch(const SierraRefusal *refusal)
{
	char *stream = text_to_cstring(refusal->event->stream_id);

	ereport(ERROR, errcode(ERRCODE_SIERRA_KEY_MISMATCH),
			errmsg("partition key mismatch for stream \"%s\"", stream),
			refusal->hidden ? errdetail("Stream \"%s\": given key %s.", stream,
										sierra_uuid_text(&refusal->given_key))
							: errdetail("Stream \"%s\": given key %s, its key %s.", stream,
										sierra_uuid_text(&refusal->given_key),
										sierra_uuid_text(&refusal->stream_key)),
			errhint("A stream keeps the key of its first event; leave partition_key out to use "
					"it."));
}

void
sierra_refusal_report(SierraAppendStatus status, const SierraRefusal *refusal)
{
	/* Anything but a new append says something about earlier ones. */
	if (status != SIERRA_APPEND_DONE)
		sierra_flush_seen();
	switch (status)
	{
		case SIERRA_APPEND_DONE:
		case SIERRA_APPEND_REPEATED:
			return;
		case SIERRA_APPEND_WRONG_VERSION:
			report_wrong_version(refusal);
			return;
		case SIERRA_APPEND_KEY_MISMATCH:
			report_key_mismatch(refusal);
			return;
		case SIERRA_APPEND_DUPLICATE_EVENT:
			ereport(ERROR, errcode(ERRCODE_SIERRA_DUPLICATE_EVENT),
					errmsg("duplicate event id %s", sierra_uuid_text(&refusal->event_id)),
					errdetail("%s", refusal->reason),
					errhint("Generate a new id for each new event; to repeat an append, pass the "
							"same ids in the same order to the same streams."));
			return;
		case SIERRA_APPEND_NOT_STRICT:
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("expected version \"%s\" is refused by strict versioning",
					   sierra_expected_version_text(refusal->event->expected)),
				errdetail("The append to stream \"%s\" does not say which version it expects.",
						  text_to_cstring(refusal->event->stream_id)),
				errhint("Pass empty or the stream's version as expected_version; the setting is "
						"\"sierra_es.strict_versioning\"."));
			return;
		case SIERRA_APPEND_NOT_SERIALIZABLE:
			ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("could not serialize access due to concurrent append to stream \"%s\"",
						   text_to_cstring(refusal->event->stream_id)),
					errhint("The transaction might succeed if retried."));
			return;
	}
}
