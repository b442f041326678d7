/*
 * event.h
 *		An event as it was read.  Several readers can share one.
 */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/uuid.h"

typedef struct StoreEvent
{
	int references;
	int partition_id;
	int64_t global_position;
	int64_t partition_sequence;
	int64_t stream_version;
	/* Unix milliseconds */
	int64_t timestamp;
	Uuid event_id;
	Uuid partition_key;
	Uuid transaction_id;
	/* each is followed by a zero byte; metadata and payload may have zero bytes in them */
	const char *stream_id;
	const char *event_name;
	const char *metadata;
	const char *payload;
	size_t stream_id_length;
	size_t event_name_length;
	size_t metadata_length;
	size_t payload_length;
	/* what it takes in memory */
	size_t bytes;
} StoreEvent;

/* The columns of a statement whose rows store_event_of_row() reads, from sierra_event. */
#define STORE_EVENT_COLUMNS                                                                        \
	"global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, "     \
	"event_name, \"timestamp\", partition_key, transaction_id, metadata, payload, payload_bytes"

#define STORE_EVENT_COLUMN_COUNT 13

/*
 * Takes metadata out of its envelope, if the event has one; then they are in memory that is
 * returned, for the caller to free after use (or NULL).
 */
extern char *store_event_unwrap(StoreEvent *event);
/* Reads a row of a binary result; the caller has the one reference. */
extern StoreEvent *store_event_of_row(const PGresult *result, int row);
extern StoreEvent *store_event_ref(StoreEvent *event);
extern void store_event_unref(StoreEvent *event);

/* Columns of binary results: NULL reads as 0. */
extern int64_t store_int8(const PGresult *result, int row, int column);
extern int32_t store_int4(const PGresult *result, int row, int column);
extern void store_uuid(const PGresult *result, int row, int column, Uuid *uuid);
/* Unix milliseconds of a timestamptz. */
extern int64_t store_msecs(const PGresult *result, int row, int column);

#endif /* STORE_EVENT_H */
