/*
 * event.h
 *		Events: the columns of an event table, what a caller hands in, its bounds.
 */
#ifndef SIERRA_EVENT_H
#define SIERRA_EVENT_H

#include "executor/tuptable.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Columns of <store>.events and of its partitions, in their physical order. */
#define Anum_events_partition_sequence 1
#define Anum_events_stream_version 2
#define Anum_events_global_position 3
#define Anum_events_timestamp 4
#define Anum_events_event_id 5
#define Anum_events_partition_key 6
#define Anum_events_transaction_id 7
#define Anum_events_partition_id 8
#define Anum_events_stream_id 9
#define Anum_events_event_name 10
#define Anum_events_metadata 11
#define Anum_events_payload 12
#define Anum_events_payload_bytes 13
#define Natts_events 13

/* Columns of type sierra_event, as indexes of values: those that code asks for. */
#define SIERRA_EVENT_POSITION 0
#define SIERRA_EVENT_STREAM 3
#define SIERRA_EVENT_VERSION 4
#define SIERRA_EVENT_ID 5
#define SIERRA_EVENT_NAME 6
#define SIERRA_EVENT_TIMESTAMP 7
#define SIERRA_EVENT_METADATA 10
#define SIERRA_EVENT_PAYLOAD 11
#define SIERRA_EVENT_PAYLOAD_BYTES 12

/* Columns of the companion tables: a key, and what is kept for it. */
#define Natts_companion 2

/* Longest stream id and event name, in bytes; the shortest is one byte. */
#define SIERRA_NAME_MAX 255

/*
 * What a stream must look like before an append: a version (0, 1, ...), or one
 * of these.  The values are also the binary form of SQL type expected_version.
 */
typedef int64 SierraExpectedVersion;

#define SIERRA_EXPECT_ANY INT64CONST(-1)
#define SIERRA_EXPECT_EXISTS INT64CONST(-2)
#define SIERRA_EXPECT_EMPTY INT64CONST(-3)

/* The version of a stream without events, the sequence of an empty partition. */
#define SIERRA_NONE INT64CONST(-1)

/* One event as a caller hands it in.  Varlena values are not toasted. */
typedef struct SierraNewEvent
{
	text *stream_id;
	text *event_name;
	SierraExpectedVersion expected;
	bool has_event_id;	/* else an id is generated */
	bool has_timestamp; /* else the time of the append is taken */
	pg_uuid_t event_id;
	TimestampTz timestamp;
	text *metadata;		  /* json, or NULL */
	text *payload;		  /* json, or NULL */
	bytea *payload_bytes; /* or NULL; never together with payload */
} SierraNewEvent;

/*
 * Raises 22023 or 22008 unless the event obeys the bounds: names of 1 to
 * SIERRA_NAME_MAX bytes without control characters, a finite time, at most one
 * kind of payload.
 */
extern void sierra_event_check(const SierraNewEvent *event);

/* Raises 22023 unless the name (called what in the message) is within bounds. */
extern void sierra_event_check_name(const char *what, const text *name);

/*
 * The partition key that the text of a partition_key argument means; raises
 * 22023 for the empty text.
 */
extern void sierra_event_parse_key(const text *given, pg_uuid_t *key);

/* The word or number that an expected version is written as; palloc'd. */
extern char *sierra_expected_version_text(SierraExpectedVersion expected);

/*
 * Reads what sierra_expected_version_text() writes.  Returns false when the
 * text is neither one of the words nor a version.
 */
extern bool sierra_expected_version_parse(const char *text, SierraExpectedVersion *expected);

/* The values of the event in a slot, in the order of sierra_event; they point into the slot. */
extern void sierra_event_values(TupleTableSlot *slot, Datum *values, bool *nulls);

#endif /* SIERRA_EVENT_H */
