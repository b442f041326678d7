/*
 * event_pack.c
 *		Events as one value of bytes, for a program that reads many of them.
 *
 * A pack is a byte, 1 if there are more events that it has no room for, and then one event
 * behind the other.  An event is its numbers, in network byte order, and then its strings:
 *
 *		int64	global_position, partition_sequence, stream_version
 *		int64	timestamp, in PostgreSQL's microseconds
 *		uuid	event_id, partition_key, transaction_id
 *		int32	partition_id
 *		int32	length of stream_id, event_name, metadata, payload
 *		bytes	stream_id, event_name, metadata, payload
 *
 * A string that is NULL has no bytes.  The payload is the JSON or the bytes that the event has.
 * The program that reads this is sierra_gateway (gateway/store/pack.c).
 */
#include "postgres.h"

#include "base/pack.h"
#include "read/event_pack.h"
#include "read/row_security.h"
#include "store/event.h"

#include "utils/memutils.h"
#include "utils/uuid.h"

/* The header of the value, and what says whether there is more. */
#define HEADER_SIZE (VARHDRSZ + 1)
#define NUMBERS_SIZE (4 * sizeof(int64) + 3 * UUID_LEN + sizeof(int32))
#define STRINGS 4

/* Strings as they are stored, NULL for a null, in the order of the pack. */
typedef struct Strings
{
	struct varlena *at[STRINGS];
} Strings;

static char *
put_numbers(char *to, const SierraEventFixed *fixed)
{
	to = sierra_pack_int64(to, fixed->global_position);
	to = sierra_pack_int64(to, fixed->partition_sequence);
	to = sierra_pack_int64(to, fixed->stream_version);
	to = sierra_pack_int64(to, fixed->timestamp);
	to = sierra_pack_bytes(to, fixed->event_id.data, UUID_LEN);
	to = sierra_pack_bytes(to, fixed->partition_key.data, UUID_LEN);
	to = sierra_pack_bytes(to, fixed->transaction_id.data, UUID_LEN);
	return sierra_pack_int32(to, fixed->partition_id);
}

static void
pack_event(SierraEventPack *pack, const SierraEventFixed *fixed, const Strings *strings)
{
	StringInfo bytes = &pack->bytes;
	struct varlena *plain[STRINGS];
	Size size = NUMBERS_SIZE + STRINGS * sizeof(int32);
	char *to;

	for (int i = 0; i < STRINGS; i++)
	{
		plain[i] = strings->at[i] != NULL ? pg_detoast_datum_packed(strings->at[i]) : NULL;
		size += plain[i] != NULL ? VARSIZE_ANY_EXHDR(plain[i]) : 0;
		if (size > MaxAllocSize)
			break;
	}
	/* raises 54000 if the pack would be too large */
	enlargeStringInfo(bytes, (int) Min(size, MaxAllocSize));
	to = put_numbers(bytes->data + bytes->len, fixed);
	for (int i = 0; i < STRINGS; i++)
		to = sierra_pack_int32(to, plain[i] != NULL ? (int32) VARSIZE_ANY_EXHDR(plain[i]) : 0);
	for (int i = 0; i < STRINGS; i++)
	{
		if (plain[i] != NULL)
			to = sierra_pack_bytes(to, VARDATA_ANY(plain[i]), VARSIZE_ANY_EXHDR(plain[i]));
		if (plain[i] != strings->at[i])
			pfree(plain[i]);
	}
	bytes->len += (int) size;
	pack->remaining--;
}

/* May one more event be packed?  If not, there are more. */
static bool
has_room(SierraEventPack *pack)
{
	pack->has_more = pack->remaining == 0 || pack->bytes.len > pack->max_bytes;
	return !pack->has_more;
}

static struct varlena *
get_string(const Datum *values, const bool *nulls, int column)
{
	return nulls[column] ? NULL : (struct varlena *) DatumGetPointer(values[column]);
}

/* Takes an event as values in the order of sierra_event, as from row-level security. */
static bool
pack_values(void *arg, Datum *values, bool *nulls)
{
	SierraEventPack *pack = arg;
	SierraEventFixed fixed = {0};
	Strings strings;

	if (!has_room(pack))
		return false;
	fixed.global_position = DatumGetInt64(values[SIERRA_EVENT_POSITION]);
	fixed.partition_id = DatumGetInt32(values[SIERRA_EVENT_PARTITION]);
	fixed.partition_sequence = DatumGetInt64(values[SIERRA_EVENT_SEQUENCE]);
	fixed.stream_version = DatumGetInt64(values[SIERRA_EVENT_VERSION]);
	fixed.timestamp = DatumGetTimestampTz(values[SIERRA_EVENT_TIMESTAMP]);
	fixed.event_id = *DatumGetUUIDP(values[SIERRA_EVENT_ID]);
	fixed.partition_key = *DatumGetUUIDP(values[SIERRA_EVENT_KEY]);
	fixed.transaction_id = *DatumGetUUIDP(values[SIERRA_EVENT_TRANSACTION]);
	strings.at[0] = get_string(values, nulls, SIERRA_EVENT_STREAM);
	strings.at[1] = get_string(values, nulls, SIERRA_EVENT_NAME);
	strings.at[2] = get_string(values, nulls, SIERRA_EVENT_METADATA);
	strings.at[3] =
		get_string(values, nulls,
				   nulls[SIERRA_EVENT_PAYLOAD] ? SIERRA_EVENT_PAYLOAD_BYTES : SIERRA_EVENT_PAYLOAD);
	pack_event(pack, &fixed, &strings);
	return true;
}

/* Takes the event without a look at its columns one by one, if it is stored as expected. */
static bool
pack_row(SierraEventPack *pack, TupleTableSlot *slot)
{
	const SierraEventFixed *fixed = sierra_event_fixed(slot);
	SierraEventVarlenas found;
	Strings strings;

	if (fixed == NULL || !sierra_event_find_varlenas(((HeapTupleTableSlot *) slot)->tuple, &found))
		return false;
	for (int i = 0; i < STRINGS - 1; i++)
		strings.at[i] = (struct varlena *) found.at[i];
	strings.at[3] = (struct varlena *) (found.at[3] != NULL ? found.at[3] : found.at[4]);
	pack_event(pack, fixed, &strings);
	return true;
}

static bool
pack_slot(SierraSink *base, TupleTableSlot *slot)
{
	SierraEventPack *pack = (SierraEventPack *) base;
	Datum values[Natts_events];
	bool nulls[Natts_events];

	if (!has_room(pack))
		return false;
	if (pack_row(pack, slot))
		return true;
	sierra_event_values(slot, values, nulls);
	return pack_values(pack, values, nulls);
}

void
sierra_event_pack_begin(SierraEventPack *pack, const SierraStore *store, int64 max_count,
						int max_bytes)
{
	/* the one behind the last says that there are more */
	int64 expected_rows = max_count < PG_INT64_MAX ? max_count + 1 : max_count;

	pack->base.put = pack_slot;
	pack->remaining = max_count;
	/* one event always gets in, so that a reader goes forward */
	pack->max_bytes = Max(max_bytes, HEADER_SIZE);
	pack->has_more = false;
	initStringInfo(&pack->bytes);
	enlargeStringInfo(&pack->bytes, HEADER_SIZE);
	pack->bytes.len = HEADER_SIZE;
	pack->row_security = sierra_store_has_row_security(store);
	pack->sink = pack->row_security
					 ? sierra_row_security_sink(store, pack_values, pack, expected_rows)
					 : &pack->base;
}

bytea *
sierra_event_pack_end(SierraEventPack *pack)
{
	bytea *value;

	if (pack->row_security)
		sierra_row_security_finish(pack->sink);
	value = (bytea *) pack->bytes.data;
	SET_VARSIZE(value, pack->bytes.len);
	VARDATA(value)[0] = pack->has_more;
	return value;
}
