/*
 * event.h
 *		Events: the columns of an event table, the events that a caller passes, and
 *		the limits of their values.
 */
#ifndef SIERRA_EVENT_H
#define SIERRA_EVENT_H

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "utils/array.h"
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
#define Anum_events_tags 14
#define Natts_events 14

/*
 * The columns that are stored first, as they are stored: none of them can be null, or has
 * a variable length.
 */
typedef struct SierraEventFixed
{
	int64 partition_sequence;
	int64 stream_version;
	int64 global_position;
	TimestampTz timestamp;
	pg_uuid_t event_id;
	pg_uuid_t partition_key;
	pg_uuid_t transaction_id;
	int32 partition_id;
} SierraEventFixed;

#define SIERRA_EVENT_FIXED_COLUMNS Anum_events_partition_id
#define SIERRA_EVENT_FIXED_SIZE (offsetof(SierraEventFixed, partition_id) + sizeof(int32))

/* Columns of type sierra_event, as indexes of an array of values; only those the code uses. */
#define SIERRA_EVENT_POSITION 0
#define SIERRA_EVENT_PARTITION 1
#define SIERRA_EVENT_SEQUENCE 2
#define SIERRA_EVENT_STREAM 3
#define SIERRA_EVENT_VERSION 4
#define SIERRA_EVENT_ID 5
#define SIERRA_EVENT_NAME 6
#define SIERRA_EVENT_TIMESTAMP 7
#define SIERRA_EVENT_KEY 8
#define SIERRA_EVENT_TRANSACTION 9
#define SIERRA_EVENT_METADATA 10
#define SIERRA_EVENT_PAYLOAD 11
#define SIERRA_EVENT_PAYLOAD_BYTES 12
#define SIERRA_EVENT_TAGS 13

/* Columns of the companion tables: a key, and the value that is kept for it. */
#define Natts_companion 2

/* Longest stream id and event name, in bytes; the shortest is one byte. */
#define SIERRA_NAME_MAX 255

/*
 * The state that a stream must be in before an append: a version (0, 1, ...), or
 * one of the constants below.  SQL type expected_version has the same values in
 * its binary form.
 */
typedef int64 SierraExpectedVersion;

#define SIERRA_EXPECT_ANY INT64CONST(-1)
#define SIERRA_EXPECT_EXISTS INT64CONST(-2)
#define SIERRA_EXPECT_EMPTY INT64CONST(-3)

/* The version of a stream, and the sequence of a partition, that has no events. */
#define SIERRA_NONE INT64CONST(-1)

/* One event as a caller passes it.  Varlena values are not toasted. */
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
	ArrayType *tags;	  /* as sierra_tags_of_array() returns them, or NULL for none */
} SierraNewEvent;

/*
 * Raises 22023 or 22008 unless the event keeps to the limits: names of 1 to
 * SIERRA_NAME_MAX bytes without control characters, a finite time, metadata that are an
 * object, and not both kinds of payload.
 */
extern void sierra_event_check(const SierraNewEvent *event);

/* Raises 22023 unless the metadata, which are valid JSON, are an object. */
extern void sierra_event_check_metadata(const text *metadata);

/* Raises 22023 unless the name keeps to the limits; what is its name in the message. */
extern void sierra_event_check_name(const char *what, const text *name);

/* Does the name keep to the limits? */
extern bool sierra_event_is_name(const text *name);

/*
 * The partition key that the text of an argument partition_key stands for; raises
 * 22023 for the empty text.
 */
extern void sierra_event_parse_key(const text *given, pg_uuid_t *key);

/* An expected version as text, a word or a number; palloc'd. */
extern char *sierra_expected_version_text(SierraExpectedVersion expected);

/*
 * Reads the text of sierra_expected_version_text(), the words in any case.
 * Returns false if the text is neither one of the words nor a version.
 */
extern bool sierra_expected_version_parse(const char *text, SierraExpectedVersion *expected);

/*
 * The fixed columns of a row, in its memory.  NULL if they are not stored as the struct is: if
 * one of them is null all the same, or the row has been stored before the table had all
 * columns.  Then look at the columns one by one.
 */
static inline const SierraEventFixed *
sierra_event_fixed_of(HeapTuple row)
{
	if (HeapTupleHeaderGetNatts(row->t_data) < Natts_events ||
		(HeapTupleHasNulls(row) && row->t_data->t_bits[0] != 0xff))
		return NULL;
	return (const SierraEventFixed *) ((char *) row->t_data + row->t_data->t_hoff);
}

/* The same of the row in a slot; NULL also if another table access method stores it. */
static inline const SierraEventFixed *
sierra_event_fixed(TupleTableSlot *slot)
{
	HeapTuple row = TTS_IS_BUFFERTUPLE(slot) ? ((HeapTupleTableSlot *) slot)->tuple : NULL;

	return row != NULL ? sierra_event_fixed_of(row) : NULL;
}

/* The columns behind them: stream_id, event_name, metadata, payload, payload_bytes, tags. */
#define SIERRA_EVENT_VARLENAS (Natts_events - SIERRA_EVENT_FIXED_COLUMNS)

/* Their values as they are stored, which can be in the TOAST table; NULL for a null. */
typedef struct SierraEventVarlenas
{
	char *at[SIERRA_EVENT_VARLENAS];
	Size length[SIERRA_EVENT_VARLENAS];
} SierraEventVarlenas;

/*
 * Finds these values in a row for which sierra_event_fixed() is not NULL.  False if they are
 * not where the length of the row says that they can be.
 */
extern bool sierra_event_find_varlenas(HeapTuple row, SierraEventVarlenas *found);

/*
 * Fills values and nulls, of Natts_events elements each, from the event in the
 * slot, in the order of sierra_event.  The values point into the slot.
 */
extern void sierra_event_values(TupleTableSlot *slot, Datum *values, bool *nulls);

#endif /* SIERRA_EVENT_H */
