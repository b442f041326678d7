/*
 * timer_sql.c
 *		The parts of eschedule() and run_timers() that cannot be written in SQL.
 */
#include "postgres.h"

#include "append/metadata.h"
#include "append/stream_locks.h"
#include "append/tag_locks.h"
#include "base/args.h"
#include "store/event.h"
#include "store/event_tags.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(sierra_lock_streams);
PG_FUNCTION_INFO_V1(sierra_check_new_event);
PG_FUNCTION_INFO_V1(sierra_check_tags);
PG_FUNCTION_INFO_V1(sierra_complete_metadata);

/*
 * Locks what appends of events with these tags to these streams will lock.  The tags come
 * first, as in an append.
 */
Datum
sierra_lock_streams(PG_FUNCTION_ARGS)
{
	SierraNewEvent tagged = {.tags = PG_GETARG_ARRAYTYPE_P(2)};
	SierraAppendCall call = {.count = 1};
	SierraTagLocks locks;
	SierraStore *store;
	int count;
	int keys;
	text **stream_ids = sierra_array_texts(PG_GETARG_ARRAYTYPE_P(0), &count);
	text **partition_keys = sierra_array_texts(PG_GETARG_ARRAYTYPE_P(1), &keys);

	if (keys != count)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%d streams, but %d partition keys", count, keys));
	for (int i = 0; i < count; i++)
	{
		if (stream_ids[i] == NULL)
			ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("argument \"stream_ids\" must not contain nulls"));
	}
	store = sierra_tag_locks_need_store(&tagged, &call, 1) ? sierra_store_open_alone()
														   : sierra_store_open(ACL_INSERT);
	sierra_tag_locks_take(store, &tagged, &call, 1, &locks);
	sierra_streams_lock(store, stream_ids, partition_keys, count);
	PG_RETURN_VOID();
}

/*
 * Raises the errors that an append of this event would raise.  Arguments: stream_id,
 * event_name, payload, payload_bytes, partition_key, metadata.
 */
Datum
sierra_check_new_event(PG_FUNCTION_ARGS)
{
	SierraNewEvent event = {0};
	pg_uuid_t key;

	sierra_require_argument(fcinfo, 0, "stream_id");
	sierra_require_argument(fcinfo, 1, "event_name");
	event.stream_id = PG_GETARG_TEXT_PP(0);
	event.event_name = PG_GETARG_TEXT_PP(1);
	event.payload = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	event.payload_bytes = PG_ARGISNULL(3) ? NULL : PG_GETARG_BYTEA_PP(3);
	event.metadata = PG_ARGISNULL(5) ? NULL : PG_GETARG_TEXT_PP(5);
	sierra_event_check(&event);
	if (!PG_ARGISNULL(4))
		sierra_event_parse_key(PG_GETARG_TEXT_PP(4), &key);
	PG_RETURN_VOID();
}

Datum
sierra_check_tags(PG_FUNCTION_ARGS)
{
	ArrayType *tags = sierra_tags_of_array(PG_GETARG_ARRAYTYPE_P(0));

	if (tags == NULL)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(tags);
}

Datum
sierra_complete_metadata(PG_FUNCTION_ARGS)
{
	text *metadata = sierra_metadata_complete(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
											  sierra_metadata_of_session());

	if (metadata == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(metadata);
}
