/*
 * decode_binary.c
 *		Format binary of the output plugin: messages of fixed and counted fields.
 *
 * A message is a byte that says what it is, a byte with the version of the
 * format, and its fields in network byte order.  A later release may add fields
 * at the end without a new version; readers ignore fields that they do not
 * know.  Times are in PostgreSQL's form, microseconds since 2000-01-01 UTC.
 * Microseconds since 1970 would not fit for all values of timestamptz.
 */
#include "postgres.h"

#include "decoding/decode_format.h"

#include "libpq/pqformat.h"

#define BINARY_VERSION 1

static void
start_message(StringInfo out, char type)
{
	pq_sendbyte(out, type);
	pq_sendbyte(out, BINARY_VERSION);
}

/* The number of bytes, -1 for NULL, and the bytes. */
static void
send_counted(StringInfo out, const char *bytes, int length)
{
	pq_sendint32(out, length);
	pq_sendbytes(out, bytes, length);
}

static void
send_varlena(StringInfo out, const struct varlena *value)
{
	if (value == NULL)
		pq_sendint32(out, -1);
	else
		send_counted(out, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

static void
send_uuid(StringInfo out, const pg_uuid_t *value)
{
	pq_sendbytes(out, (const void *) value->data, UUID_LEN);
}

static void
write_begin(StringInfo out, const ReorderBufferTXN *txn)
{
	start_message(out, 'B');
	pq_sendint32(out, txn->xid);
	pq_sendint64(out, txn->final_lsn);
	pq_sendint64(out, txn->xact_time.commit_time);
}

/* A binary message has no lines, so single_line has no effect. */
static void
write_event(StringInfo out, const SierraDecodedEvent *event, bool single_line)
{
	start_message(out, 'E');
	pq_sendint64(out, event->global_position);
	pq_sendint32(out, event->partition_id);
	pq_sendint64(out, event->partition_sequence);
	pq_sendint64(out, event->stream_version);
	pq_sendint64(out, event->timestamp);
	send_uuid(out, event->event_id);
	send_uuid(out, event->partition_key);
	send_uuid(out, event->transaction_id);
	send_counted(out, event->store, strlen(event->store));
	send_varlena(out, event->stream_id);
	send_varlena(out, event->event_name);
	send_varlena(out, event->metadata);
	send_varlena(out, event->payload);
	send_varlena(out, event->payload_bytes);
	pq_sendint32(out, event->tags.count);
	for (int i = 0; i < event->tags.count; i++)
		send_varlena(out, (struct varlena *) DatumGetPointer(event->tags.items[i]));
}

static void
write_commit(StringInfo out, const ReorderBufferTXN *txn)
{
	start_message(out, 'C');
	pq_sendint32(out, txn->xid);
	pq_sendint64(out, txn->final_lsn);
	pq_sendint64(out, txn->end_lsn);
	pq_sendint64(out, txn->xact_time.commit_time);
}

const SierraDecodeFormat sierra_decode_binary = {.name = "binary",
												 .textual = false,
												 .write_begin = write_begin,
												 .write_event = write_event,
												 .write_commit = write_commit};
