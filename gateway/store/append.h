/*
 * append.h
 *		Group commit: appends of all clients, many in one transaction, each for itself.
 */
#ifndef STORE_APPEND_H
#define STORE_APPEND_H

#include "store/role.h"

/* Expected versions below 0. */
#define EXPECTED_ANY (-1)
#define EXPECTED_EXISTS (-2)
#define EXPECTED_EMPTY (-3)

typedef struct AppendEvent
{
	/* Given by the caller; the bytes must exist until the append has ended. */
	const char *stream_id;
	size_t stream_id_length;
	const char *event_name;
	size_t event_name_length;
	bool has_event_id;
	Uuid event_id;
	int64_t expected_version;
	/* Unix milliseconds, or -1: the time of the append */
	int64_t timestamp;
	const char *payload;
	size_t payload_length;
	const char *metadata;
	size_t metadata_length;
	/* that of the call, or of its name; when it was appended, that of the stream */
	Uuid partition_key;

	/* Filled in when it was appended. */
	int64_t partition_sequence;
	int64_t stream_version;
	int64_t stored_timestamp;
	int partition_id;

	/* These belong to the writer. */
	bool is_json;
	bool needs_envelope;
} AppendEvent;

/* A call: all of its events or none. */
typedef struct StoreAppend StoreAppend;
struct StoreAppend
{
	bool has_partition_key;
	Uuid partition_key;
	AppendEvent *events;
	int count;
	/* Once; error is NULL if the events are durable. */
	void (*done)(StoreAppend *append, const StoreError *error);
	void *arg;

	/* The rest belongs to the writer. */
	size_t bytes;
	/* was in a batch that failed as a whole */
	bool is_alone;
	struct AppendRefusal *refusal;
	StoreAppend *next;
};

/*
 * Queues an append.  *lane is kept by the caller for each client, 0 at first: while appends of a
 * client are under way (in_flight), they stay in one lane, and so in order.
 */
extern void store_append(StoreRole *role, StoreAppend *append, int *lane, bool in_flight);

#endif /* STORE_APPEND_H */
