/*
 * event_tuple.c
 *		Makes a tuple of type sierra_event from a row of an event table.
 *
 * A tuple of sierra_event has the values of the row in another order.  To take the row
 * apart and to form a tuple of its values, as for any two types, costs as much as all else
 * that a read does for an event.  But both types are known here, and so is where each
 * value is: so the bytes of the values are copied, and no value is looked at.
 *
 * The fixed part of a row, its first eight columns, is a struct (event.h).  Six values of
 * variable length follow.  They are copied as they are stored: short, compressed, or a
 * pointer into the TOAST table.
 */
#include "postgres.h"

#include "base/compat.h"
#include "read/event_tuple.h"
#include "store/event.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"

/* In a tuple of sierra_event there is padding before some values; each time 8 bytes are set. */
#define SLACK (MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(Natts_events)) + 7 * MAXIMUM_ALIGNOF)

bool
sierra_event_tuple_fits(TupleDesc desc)
{
	static const Oid types[Natts_events] = {INT8OID, INT4OID, INT8OID,		  TEXTOID,	   INT8OID,
											UUIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID,	   UUIDOID,
											JSONOID, JSONOID, BYTEAOID,		  TEXTARRAYOID};

	for (int i = 0; i < Natts_events; i++)
	{
		if (desc->natts != Natts_events || TupleDescAttr(desc, i)->atttypid != types[i])
			return false;
	}
	return true;
}

void
sierra_event_tuple_begin(SierraEventTuple *made, MemoryContext context)
{
	*made = (SierraEventTuple){.context = context};
}

/* Aligns the end of the values of a tuple; padding is zero. */
static char *
align(char *data, char *end, int alignment)
{
	memset(end, 0, MAXIMUM_ALIGNOF);
	return data + TYPEALIGN(alignment, end - data);
}

static char *
put_varlena(char *data, char *end, const char *value, Size length)
{
	/* Those with a short header, and pointers into the TOAST table, are not aligned. */
	if (!VARATT_IS_1B(value))
		end = align(data, end, ALIGNOF_INT);
	memcpy(end, value, length);
	return end + length;
}

#define PUT(end, value) (memcpy(end, &(value), sizeof(value)), (end) + sizeof(value))

/* Puts the values into data, in the order of sierra_event; returns their end. */
static char *
put_values(char *data, const SierraEventFixed *fixed, const SierraEventVarlenas *values)
{
	char *end = data;

	end = PUT(end, fixed->global_position);
	end = PUT(end, fixed->partition_id);
	end = align(data, end, ALIGNOF_DOUBLE);
	end = PUT(end, fixed->partition_sequence);
	end = put_varlena(data, end, values->at[0], values->length[0]);
	end = align(data, end, ALIGNOF_DOUBLE);
	end = PUT(end, fixed->stream_version);
	end = PUT(end, fixed->event_id);
	end = put_varlena(data, end, values->at[1], values->length[1]);
	end = align(data, end, ALIGNOF_DOUBLE);
	end = PUT(end, fixed->timestamp);
	end = PUT(end, fixed->partition_key);
	end = PUT(end, fixed->transaction_id);
	for (int i = 2; i < SIERRA_EVENT_VARLENAS; i++)
	{
		if (values->at[i] != NULL)
			end = put_varlena(data, end, values->at[i], values->length[i]);
	}
	return end;
}

/* The last values of sierra_event are those of variable length that can be null. */
static void
put_header(HeapTupleHeader header, HeapTuple row, const SierraEventVarlenas *values)
{
	int nulls = 0;

	for (int i = 2; i < SIERRA_EVENT_VARLENAS; i++)
	{
		if (values->at[i] == NULL)
			nulls |= 1 << (SIERRA_EVENT_FIXED_COLUMNS + i - BITS_PER_BYTE);
	}
	memset(header, 0, MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(Natts_events)));
	HeapTupleHeaderSetNatts(header, Natts_events);
	header->t_infomask = HEAP_HASVARWIDTH | (row->t_data->t_infomask & HEAP_HASEXTERNAL);
	header->t_hoff = MAXALIGN(SizeofHeapTupleHeader);
	if (nulls == 0)
		return;
	header->t_infomask |= HEAP_HASNULL;
	header->t_hoff = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(Natts_events));
	header->t_bits[0] = 0xff;
	header->t_bits[1] = ~nulls & ((1 << (Natts_events - BITS_PER_BYTE)) - 1);
}

static void
make_room(SierraEventTuple *made, Size needed)
{
	if (made->size >= needed)
		return;
	if (made->tuple.t_data != NULL)
		pfree(made->tuple.t_data);
	made->tuple.t_data = MemoryContextAlloc(made->context, needed * 2);
	made->size = needed * 2;
}

bool
sierra_event_tuple_form(SierraEventTuple *made, TupleTableSlot *slot)
{
	const SierraEventFixed *fixed = sierra_event_fixed(slot);
	HeapTuple row;
	SierraEventVarlenas values;
	char *data;

	if (fixed == NULL)
		return false;
	row = ((HeapTupleTableSlot *) slot)->tuple;
	if (!sierra_event_find_varlenas(row, &values))
		return false;
	make_room(made, row->t_len + SLACK);
	put_header(made->tuple.t_data, row, &values);
	data = (char *) made->tuple.t_data + made->tuple.t_data->t_hoff;
	made->tuple.t_len = put_values(data, fixed, &values) - (char *) made->tuple.t_data;
	return true;
}
