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
#include "utils/memutils.h"

/* Puts the facts of a refusal into fields of the error, where clients need not parse a text. */
static int
set_fields(const SierraRefusal *refusal, const char *stream, const char *current,
		   const char *constraint)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME, NameStr(refusal->store->name));
	if (stream != NULL)
		err_generic_string(PG_DIAG_TABLE_NAME, stream);
	if (current != NULL)
		err_generic_string(PG_DIAG_COLUMN_NAME, current);
	err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint);
	return 0;
}

static void
report_wrong_version(const SierraRefusal *refusal)
{
	SierraExpectedVersion current =
		refusal->current_version == SIERRA_NONE ? SIERRA_EXPECT_EMPTY : refusal->current_version;
	char *stream = text_to_cstring(refusal->event->stream_id);
	char *expected = sierra_expected_version_text(refusal->event->expected);
	char *version = refusal->hidden ? NULL : sierra_expected_version_text(current);

	ereport(ERROR, errcode(ERRCODE_SIERRA_WRONG_VERSION),
			errmsg("wrong expected version of stream \"%s\"", stream),
			version == NULL ? errdetail("Stream \"%s\": expected version %s.", stream, expected)
							: errdetail("Stream \"%s\": expected version %s, current version %s.",
										stream, expected, version),
			errhint("Read the stream again, decide again, and append with its current version."),
			set_fields(refusal, stream, version, expected));
}

static void
report_condition_failed(const SierraRefusal *refusal)
{
	const SierraFoundEvent *found = &refusal->found;
	char *stream = refusal->hidden ? NULL : text_to_cstring(found->stream_id);

	ereport(ERROR, errcode(ERRCODE_SIERRA_CONDITION_FAILED), errmsg("append condition failed"),
			stream == NULL
				? errdetail("An event above position %lld matches the query.",
							(long long) refusal->after)
				: errdetail("The first event above position %lld that matches the query: position "
							"%lld, stream \"%s\", version %lld, name \"%s\".",
							(long long) refusal->after, (long long) found->position, stream,
							(long long) found->stream_version, text_to_cstring(found->event_name)),
			errhint("Read again what the query matches, decide again, and append with the new "
					"position."),
			set_fields(refusal, stream,
					   stream == NULL ? NULL : psprintf(INT64_FORMAT, found->position),
					   "append_condition"));
}

static void
report_position_not_reached(const SierraRefusal *refusal)
{
	ereport(ERROR, errcode(ERRCODE_SIERRA_CONDITION_FAILED), errmsg("append condition failed"),
			errdetail("The condition is about events above position %lld, and the next position "
					  "of the store is %lld.",
					  (long long) refusal->after, (long long) refusal->position),
			errhint("Take the position from ehead(). If it was, the store has lost events since, "
					"by a restore or a failover: read again, and decide again."),
			set_fields(refusal, NULL, NULL, "append_condition"));
}

static void
report_not_serializable(const SierraRefusal *refusal)
{
	ereport(ERROR, errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			refusal->event == NULL
				? errmsg("could not serialize access due to concurrent append of an event that "
						 "the condition excludes")
				: errmsg("could not serialize access due to concurrent append to stream \"%s\"",
						 text_to_cstring(refusal->event->stream_id)),
			errhint("The transaction might succeed if retried."));
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
		case SIERRA_APPEND_CONDITION_FAILED:
			report_condition_failed(refusal);
			return;
		case SIERRA_APPEND_POSITION_NOT_REACHED:
			report_position_not_reached(refusal);
			return;
		case SIERRA_APPEND_NOT_SERIALIZABLE:
			report_not_serializable(refusal);
			return;
	}
}

static bool
is_refusal(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
		   ERRCODE_TO_CATEGORY(sqlerrcode) == MAKE_SQLSTATE('S', 'E', '0', '0', '0');
}

ErrorData *
sierra_refusal_catch(void (*check)(void *arg), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		check(arg);
	}
	PG_CATCH();
	{
		if (!is_refusal(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}

typedef struct Report
{
	SierraAppendStatus status;
	const SierraRefusal *refusal;
} Report;

static void
report(void *arg)
{
	const Report *wanted = arg;

	sierra_refusal_report(wanted->status, wanted->refusal);
}

/* A change that cannot be serialized refuses the transaction, and not only the call. */
ErrorData *
sierra_refusal_error(SierraAppendStatus status, const SierraRefusal *refusal)
{
	Report wanted = {status, refusal};

	return sierra_refusal_catch(report, &wanted);
}
