/*
 * event.c
 *		Events: checks of the events that a caller passes.
 */
#include "postgres.h"

#include "base/routing.h"
#include "store/event.h"

#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

/* C0 controls and DEL are one byte; C1 controls are U+0080 to U+009F. */
static bool
is_control(const unsigned char *at, const unsigned char *end)
{
	if (*at < 0x20 || *at == 0x7f)
		return true;
	return *at == 0xc2 && at + 1 < end && at[1] >= 0x80 && at[1] <= 0x9f;
}

void
sierra_event_check_name(const char *what, const text *name)
{
	const unsigned char *start = (const unsigned char *) VARDATA_ANY(name);
	int length = VARSIZE_ANY_EXHDR(name);
	const unsigned char *end = start + length;

	if (length < 1 || length > SIERRA_NAME_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%s must have 1 to %d bytes", what, SIERRA_NAME_MAX),
				errdetail("The value has %d bytes.", length),
				length < 1 ? 0 : errhint("Put a longer text into the payload or the metadata."));

	for (const unsigned char *at = start; at < end; at++)
	{
		if (is_control(at, end))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s must not contain control characters", what),
					errdetail("There is one at byte %d.", (int) (at - start) + 1),
					errhint("Put such data into the payload or the metadata."));
	}
}

bool
sierra_event_is_name(const text *name)
{
	const unsigned char *start = (const unsigned char *) VARDATA_ANY(name);
	int length = VARSIZE_ANY_EXHDR(name);

	for (int i = 0; i < length; i++)
	{
		if (is_control(start + i, start + length))
			return false;
	}
	return length >= 1 && length <= SIERRA_NAME_MAX;
}

static bool
is_version(const char *text, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
	}
	return true;
}

void
sierra_event_check_metadata(const text *metadata)
{
	const char *at = VARDATA_ANY(metadata);
	int length = VARSIZE_ANY_EXHDR(metadata);

	while (length > 0 && strchr(" \t\r\n", *at) != NULL)
	{
		at++;
		length--;
	}
	while (length > 0 && strchr(" \t\r\n", at[length - 1]) != NULL)
		length--;
	if (length > 0 && *at == '{')
		return;
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("metadata must be a JSON object"),
			errdetail("It is %s.", pnstrdup(at, pg_mbcliplen(at, length, 80))),
			is_version(at, length)
				? errhint("To expect a version, pass expected_version => %.*s.", length, at)
				: errhint("Pass an object, such as {\"user\": 7}, or NULL for none."));
}

void
sierra_event_check(const SierraNewEvent *event)
{
	sierra_event_check_name("stream_id", event->stream_id);
	sierra_event_check_name("event_name", event->event_name);
	if (event->metadata != NULL)
		sierra_event_check_metadata(event->metadata);

	if (event->payload != NULL && event->payload_bytes != NULL)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("an event has either payload or payload_bytes"),
				errdetail("Event \"%s\" for stream \"%s\" has both.",
						  text_to_cstring(event->event_name), text_to_cstring(event->stream_id)),
				errhint("Pass JSON in payload, any other bytes in payload_bytes."));

	if (event->has_timestamp && TIMESTAMP_NOT_FINITE(event->timestamp))
		ereport(ERROR, errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				errmsg("the timestamp of an event must be finite"),
				errhint("Leave it out to take the time of the append."));
}

void
sierra_event_parse_key(const text *given, pg_uuid_t *key)
{
	if (VARSIZE_ANY_EXHDR(given) == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("partition_key must not be empty"),
				errhint("Pass a UUID, or a text that streams of one partition share."));
	sierra_uuid_of_key_text(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), key);
}

char *
sierra_expected_version_text(SierraExpectedVersion expected)
{
	switch (expected)
	{
		case SIERRA_EXPECT_ANY:
			return pstrdup("any");
		case SIERRA_EXPECT_EXISTS:
			return pstrdup("exists");
		case SIERRA_EXPECT_EMPTY:
			return pstrdup("empty");
		default:
			return psprintf(INT64_FORMAT, expected);
	}
}

bool
sierra_expected_version_parse(const char *text, SierraExpectedVersion *expected)
{
	char *end;

	if (pg_strcasecmp(text, "any") == 0)
		*expected = SIERRA_EXPECT_ANY;
	else if (pg_strcasecmp(text, "exists") == 0)
		*expected = SIERRA_EXPECT_EXISTS;
	else if (pg_strcasecmp(text, "empty") == 0)
		*expected = SIERRA_EXPECT_EMPTY;
	else
	{
		errno = 0;
		*expected = strtoi64(text, &end, 10);
		return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0';
	}
	return true;
}

/* By column of sierra_event: the column of an event table that it is taken from. */
static const AttrNumber event_column[Natts_events] = {
	Anum_events_global_position,	Anum_events_partition_id,
	Anum_events_partition_sequence, Anum_events_stream_id,
	Anum_events_stream_version,		Anum_events_event_id,
	Anum_events_event_name,			Anum_events_timestamp,
	Anum_events_partition_key,		Anum_events_transaction_id,
	Anum_events_metadata,			Anum_events_payload,
	Anum_events_payload_bytes,		Anum_events_tags};

bool
sierra_event_find_varlenas(HeapTuple row, SierraEventVarlenas *found)
{
	HeapTupleHeader header = row->t_data;
	char *data = (char *) header + header->t_hoff;
	Size end = row->t_len - header->t_hoff;
	Size offset = SIERRA_EVENT_FIXED_SIZE;

	for (int i = 0; i < SIERRA_EVENT_VARLENAS; i++)
	{
		found->at[i] = NULL;
		if (HeapTupleHasNulls(row) && att_isnull(SIERRA_EVENT_FIXED_COLUMNS + i, header->t_bits))
			continue;
		if (offset >= end)
			return false;
		offset = att_align_pointer(offset, TYPALIGN_INT, -1, data + offset);
		found->at[i] = data + offset;
		found->length[i] = VARSIZE_ANY(data + offset);
		offset += found->length[i];
	}
	return offset <= end && found->at[0] != NULL && found->at[1] != NULL;
}

void
sierra_event_values(TupleTableSlot *slot, Datum *values, bool *nulls)
{
	slot_getallattrs(slot);
	for (int i = 0; i < Natts_events; i++)
	{
		values[i] = slot->tts_values[event_column[i] - 1];
		nulls[i] = slot->tts_isnull[event_column[i] - 1];
	}
}
