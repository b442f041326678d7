/*
 * decode_format.h
 *		What the output plugin sends, in one of its formats.
 *
 * docs/decoding.md describes the formats for programs that read them.
 */
#ifndef SIERRA_DECODE_FORMAT_H
#define SIERRA_DECODE_FORMAT_H

#include "store/event_tags.h"

#include "lib/stringinfo.h"
#include "replication/reorderbuffer.h"
#include "utils/uuid.h"

/* An event as it was decoded.  Varlena values are not toasted. */
typedef struct SierraDecodedEvent
{
	const char *store;
	int64 global_position;
	int32 partition_id;
	int64 partition_sequence;
	int64 stream_version;
	TimestampTz timestamp;
	const pg_uuid_t *event_id;
	const pg_uuid_t *partition_key;
	const pg_uuid_t *transaction_id;
	const text *stream_id;
	const text *event_name;
	SierraTags tags;
	const text *metadata;		/* or NULL */
	const text *payload;		/* or NULL */
	const bytea *payload_bytes; /* or NULL */
	bool metadata_included;		/* false: option include_metadata is off */
	bool payload_included;		/* false: option include_payload is off */
} SierraDecodedEvent;

/* A format: each function appends one message to out. */
typedef struct SierraDecodeFormat
{
	const char *name;
	bool textual; /* false: the SQL functions that read a slot return bytea */
	void (*write_begin)(StringInfo out, const ReorderBufferTXN *txn);
	void (*write_event)(StringInfo out, const SierraDecodedEvent *event, bool single_line);
	void (*write_commit)(StringInfo out, const ReorderBufferTXN *txn);
} SierraDecodeFormat;

extern const SierraDecodeFormat sierra_decode_json;
extern const SierraDecodeFormat sierra_decode_binary;

#endif /* SIERRA_DECODE_FORMAT_H */
