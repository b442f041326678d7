/*
 * subscription_sql.c
 *		enext(), epeek(), eack(), enack(), ewait(), ehead(), ewait_head(); the lock for eunsub().
 *
 * Creating and dropping subscriptions, leases and views are in SQL.
 */
#include "postgres.h"

#include "base/args.h"
#include "read/event_rows.h"
#include "read/locate.h"
#include "read/read_all.h"
#include "read/row_security.h"
#include "store/event.h"
#include "store/extension.h"
#include "subscription/acknowledge.h"
#include "subscription/await.h"
#include "subscription/delivery.h"
#include "subscription/pending.h"
#include "subscription/subscription.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(sierra_enext);
PG_FUNCTION_INFO_V1(sierra_peek);
PG_FUNCTION_INFO_V1(sierra_eack);
PG_FUNCTION_INFO_V1(sierra_enack);
PG_FUNCTION_INFO_V1(sierra_park_event);
PG_FUNCTION_INFO_V1(sierra_ewait);
PG_FUNCTION_INFO_V1(sierra_await_subscription);
PG_FUNCTION_INFO_V1(sierra_ehead);
PG_FUNCTION_INFO_V1(sierra_ewait_head);
PG_FUNCTION_INFO_V1(sierra_lock_subscription);
PG_FUNCTION_INFO_V1(sierra_oldest_pending);
PG_FUNCTION_INFO_V1(sierra_oldest_due);
PG_FUNCTION_INFO_V1(sierra_require_public_subscription);

static int64
get_position(FunctionCallInfo fcinfo, int arg, const char *name)
{
	int64 position;

	sierra_require_argument(fcinfo, arg, name);
	position = PG_GETARG_INT64(arg);
	if (position < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"%s\" must not be less than -1", name),
				errdetail("It is %lld.", (long long) position));
	return position;
}

static void
require_public(const text *name)
{
	if (sierra_subscription_is_internal(name))
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("subscription \"%s\" is that of a projection", text_to_cstring(name)),
			errdetail("Only projections and process managers have subscriptions whose names begin "
					  "with \"" SIERRA_PROJECTION_PREFIX "\"."),
			errhint("Use the functions for projections, such as run_projection(), "
					"ewait_projection(), retry_projection(), skip_projection_event() and "
					"drop_projection()."));
}

/* The argument subscription, which must not be that of a projection. */
static text *
get_subscription(FunctionCallInfo fcinfo, int arg)
{
	text *name;

	sierra_require_argument(fcinfo, arg, "subscription");
	name = PG_GETARG_TEXT_PP(arg);
	require_public(name);
	return name;
}

/* The argument consumer, or NULL without a group. */
static text *
get_consumer(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return NULL;
	sierra_event_check_name("consumer", PG_GETARG_TEXT_PP(arg));
	return PG_GETARG_TEXT_PP(arg);
}

static Oid
find_lease_function(void)
{
	static const Oid types[] = {NAMEOID, TEXTOID, TEXTOID};

	return sierra_extension_function("join_group", lengthof(types), types);
}

Datum
sierra_enext(PG_FUNCTION_ARGS)
{
	SierraConsume consume = {0};
	SierraEventRows result;
	int64 max_count;

	consume.subscription = get_subscription(fcinfo, 0);
	max_count = sierra_arg_count(fcinfo, 1);
	consume.wait_usecs = sierra_arg_usecs(fcinfo, 2, "wait", 1);
	consume.has_after = !PG_ARGISNULL(3);
	if (consume.has_after)
		consume.after = get_position(fcinfo, 3, "after");
	consume.consumer = get_consumer(fcinfo, 4);
	if (consume.consumer != NULL)
		consume.lease_function = find_lease_function();

	sierra_event_rows_begin(fcinfo, NULL, max_count, &result);
	sierra_consume(&consume, &result);
	return (Datum) 0;
}

Datum
sierra_peek(PG_FUNCTION_ARGS)
{
	SierraEventRows result;
	int64 max_count;

	sierra_require_argument(fcinfo, 0, "store");
	sierra_require_argument(fcinfo, 1, "subscription");
	max_count = sierra_arg_count(fcinfo, 2);
	sierra_event_rows_begin(fcinfo, NameStr(*PG_GETARG_NAME(0)), max_count, &result);
	sierra_peek_events(PG_GETARG_TEXT_PP(1), &result);
	return (Datum) 0;
}

Datum
sierra_eack(PG_FUNCTION_ARGS)
{
	text *subscription = get_subscription(fcinfo, 0);
	int64 position = get_position(fcinfo, 1, "cursor");
	text *consumer = get_consumer(fcinfo, 2);
	SierraStore *store;

	PreventCommandDuringRecovery("eack()");
	PreventCommandIfReadOnly("eack()");
	store = sierra_store_open(ACL_SELECT);
	PG_RETURN_INT64(sierra_acknowledge(store, subscription, position, consumer));
}

Datum
sierra_enack(PG_FUNCTION_ARGS)
{
	SierraFailure failure = {0};
	text *subscription = get_subscription(fcinfo, 0);
	text *consumer;
	SierraStore *store;

	failure.position = get_position(fcinfo, 1, "cursor");
	sierra_arg_usecs(fcinfo, 2, "retry_after", 365);
	failure.retry_after = PG_GETARG_DATUM(2);
	failure.reason = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
	sierra_require_argument(fcinfo, 4, "park");
	failure.park = PG_GETARG_BOOL(4);
	consumer = get_consumer(fcinfo, 5);
	PreventCommandDuringRecovery("enack()");
	PreventCommandIfReadOnly("enack()");
	store = sierra_store_open(ACL_SELECT);
	PG_RETURN_TEXT_P(cstring_to_text(
		sierra_reject(store, subscription, &failure, consumer) ? "parked" : "retrying"));
}

Datum
sierra_park_event(PG_FUNCTION_ARGS)
{
	SierraFailure failure = {.retry_after = IntervalPGetDatum(palloc0(sizeof(Interval))),
							 .park = true};
	SierraStore *store;

	sierra_require_argument(fcinfo, 0, "store");
	sierra_require_argument(fcinfo, 1, "subscription");
	failure.position = get_position(fcinfo, 2, "position");
	failure.reason = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
	PreventCommandDuringRecovery("skip_projection_event()");
	PreventCommandIfReadOnly("skip_projection_event()");
	store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);
	sierra_reject(store, PG_GETARG_TEXT_PP(1), &failure, NULL);
	PG_RETURN_VOID();
}

static Datum
await(FunctionCallInfo fcinfo)
{
	int64 position = get_position(fcinfo, 1, "cursor");
	int64 timeout = sierra_arg_usecs(fcinfo, 2, "timeout", 1);
	text *subscription = PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0);

	sierra_refuse_waiting(timeout);
	PG_RETURN_BOOL(sierra_await(sierra_store_open(ACL_SELECT), subscription, position, timeout));
}

Datum
sierra_ewait(PG_FUNCTION_ARGS)
{
	if (!PG_ARGISNULL(0))
		require_public(PG_GETARG_TEXT_PP(0));
	return await(fcinfo);
}

Datum
sierra_await_subscription(PG_FUNCTION_ARGS)
{
	return await(fcinfo);
}

Datum
sierra_ehead(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sierra_read_horizon(sierra_store_open(ACL_SELECT)));
}

Datum
sierra_ewait_head(PG_FUNCTION_ARGS)
{
	int64 position = get_position(fcinfo, 0, "cursor");
	int64 timeout = sierra_arg_usecs(fcinfo, 1, "timeout", 1);

	sierra_refuse_waiting(timeout);
	PG_RETURN_INT64(sierra_await_horizon(sierra_store_open(ACL_SELECT), position, timeout));
}

/*
 * The time of the oldest event that a subscription has still to process, in a partition or
 * in all: NULL if there is none, infinity if that was not found out by the time given.
 */
Datum
sierra_oldest_pending(PG_FUNCTION_ARGS)
{
	SierraStore *store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);
	int32 partition = PG_GETARG_INT32(2);
	SierraTime give_up = sierra_time_of_wall(sierra_now(), PG_GETARG_TIMESTAMPTZ(3));
	TimestampTz at;

	if (partition != SIERRA_WHOLE)
		sierra_check_partition(store, partition);
	switch (sierra_pending_find(store, PG_GETARG_TEXT_PP(1), partition, give_up, &at))
	{
		case SIERRA_PENDING_NONE:
			PG_RETURN_NULL();
		case SIERRA_PENDING_FOUND:
			PG_RETURN_TIMESTAMPTZ(at);
		case SIERRA_PENDING_UNKNOWN:
			break;
	}
	PG_RETURN_TIMESTAMPTZ(DT_NOEND);
}

/* Of all partitions; for at most a second. */
Datum
sierra_oldest_due(PG_FUNCTION_ARGS)
{
	SierraStore *store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);
	TimestampTz at;

	if (sierra_pending_find_due(store, PG_GETARG_TEXT_PP(1), SIERRA_WHOLE,
								sierra_after_ms(sierra_now(), 1000), &at) != SIERRA_PENDING_FOUND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(at);
}

/*
 * For eunsub().  Without this lock, a subscription could be dropped and created
 * again while a consumer processes a batch.  The acknowledgement of the batch
 * would then move the new cursor over events that nobody processed.
 */
Datum
sierra_lock_subscription(PG_FUNCTION_ARGS)
{
	SierraStore *store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_NO_RIGHTS);
	Oid subscriptions = sierra_store_table(store, "subscriptions");

	/* A user that may not drop the subscription must not hold up its consumers either. */
	if (pg_class_aclcheck(subscriptions, GetUserId(), ACL_DELETE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, "subscriptions");
	sierra_subscription_lock(store, PG_GETARG_TEXT_PP(1), NULL);
	PG_RETURN_VOID();
}

Datum
sierra_require_public_subscription(PG_FUNCTION_ARGS)
{
	require_public(PG_GETARG_TEXT_PP(0));
	PG_RETURN_VOID();
}
