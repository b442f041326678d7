/*
 * pending_list.c
 *		How far all subscriptions of a store are behind, for those that watch.
 *
 * There can be a thousand of them, and each has a place in every partition.  So a partition is
 * opened once for all.  Times of oldest events are remembered by the session: an event that a
 * subscription had still to process at the last look, and whose place its cursor has not reached,
 * is still its oldest one.
 */
#include "postgres.h"

#include "read/locate.h"
#include "read/read_partitions.h"
#include "read/row_security.h"
#include "store/query.h"
#include "subscription/pending.h"
#include "subscription/subscription.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(sierra_list_pending);
PG_FUNCTION_INFO_V1(sierra_count_after_cursors);

/* The time that the look for the oldest event of one subscription may take. */
#define LOOK_MS 20

/* How many looks there are even if the time is over: a store with few subscriptions is exact. */
#define LOOKS_MIN 20

static const SierraQuery list_query = {
	"SELECT s.subscription, s.created_at, s.partitions,"
	" EXISTS (SELECT FROM %1$s.subscription_streams AS t"
	" WHERE t.subscription OPERATOR(pg_catalog.=) s.subscription),"
	" c.partition_id, c.cursor, c.consumer"
	" FROM %1$s.subscriptions AS s JOIN %1$s.subscription_cursors AS c"
	" ON c.subscription OPERATOR(pg_catalog.=) s.subscription"
	" WHERE $1 IS NULL OR pg_catalog.starts_with(s.subscription, '" SIERRA_PROJECTION_PREFIX "')"
	" OPERATOR(pg_catalog.=) $1 ORDER BY s.subscription",
	1,
	{BOOLOID}};

typedef struct WatchCursor
{
	int32 partition; /* SIERRA_WHOLE: all that the subscription wants */
	int64 position;
	text *consumer; /* that has the lease, or NULL */
	int64 events;	/* after it */
	int next;		/* the next cursor of this partition, or -1 */
} WatchCursor;

/* A subscription. */
typedef struct Watched
{
	text *name;
	TimestampTz created_at;
	bool *wanted;  /* by partition; NULL: all */
	bool diverted; /* it has streams that do not move with the cursor */
	int first;	   /* its cursors */
	int cursors;
	int64 events;
	uint64 look; /* the last one for its oldest event; see pending.h */
	SierraPending found;
	TimestampTz at;
} Watched;

typedef struct WatchList
{
	const SierraStore *store;
	bool row_security; /* events are counted as the user may see them */
	Watched *items;
	int count;
	WatchCursor *cursors;
	int *first; /* by partition, and before the first one for SIERRA_WHOLE: the first cursor, or -1
				 */
} WatchList;

static text *
copy_text(uint64 row, int column)
{
	bool isnull;
	Datum value = sierra_query_value(row, column, TEXTOID, &isnull);

	return isnull ? NULL : DatumGetTextPCopy(value);
}

static bool *
get_wanted(uint64 row, int column, int partitions)
{
	bool isnull;
	Datum value = sierra_query_value(row, column, INT4ARRAYOID, &isnull);
	bool *wanted;
	Datum *ids;
	bool *nulls;
	int count;

	if (isnull)
		return NULL;
	wanted = palloc0(sizeof(bool) * partitions);
	deconstruct_array(DatumGetArrayTypePCopy(value), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &ids, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i] && DatumGetInt32(ids[i]) >= 0 && DatumGetInt32(ids[i]) < partitions)
			wanted[DatumGetInt32(ids[i])] = true;
	}
	return wanted;
}

static void
add_item(WatchList *list, uint64 row, const text *name)
{
	Watched *item = &list->items[list->count++];

	memset(item, 0, sizeof(*item));
	item->name = DatumGetTextPCopy(PointerGetDatum(name));
	item->created_at = sierra_query_timestamptz(row, 2);
	item->wanted = get_wanted(row, 3, list->store->partitions);
	item->diverted = sierra_query_bool(row, 4);
	item->first = (int) row;
}

static void
add_cursor(WatchList *list, uint64 row)
{
	WatchCursor *cursor = &list->cursors[row];
	int32 partition = sierra_query_int4(row, 5);

	cursor->partition = partition;
	cursor->position = sierra_query_int8(row, 6);
	cursor->consumer = copy_text(row, 7);
	cursor->events = 0;
	cursor->next = -1;
	if (partition < SIERRA_WHOLE || partition >= list->store->partitions)
		return;
	cursor->next = list->first[partition + 1];
	list->first[partition + 1] = (int) row;
}

static bool
same_text(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/*
 * Subscriptions of projections, the others, or with NULL all.  All rows are kept: the context of
 * the caller is current, not that of the query.
 */
static void
load(WatchList *list, const bool *projections)
{
	MemoryContext context = sierra_query_begin();
	Datum values[] = {BoolGetDatum(projections != NULL && *projections)};
	bool nulls[] = {projections == NULL};
	MemoryContext spi;
	uint64 rows;

	(void) sierra_store_table(list->store, "subscriptions");
	list->row_security = sierra_store_has_row_security(list->store);
	rows = sierra_query(list->store, &list_query, values, nulls, true);
	spi = MemoryContextSwitchTo(context);
	list->items = MemoryContextAllocHuge(context, sizeof(Watched) * (rows + 1));
	list->cursors = MemoryContextAllocHuge(context, sizeof(WatchCursor) * (rows + 1));
	list->first = palloc(sizeof(int) * (list->store->partitions + 1));
	for (int i = 0; i <= list->store->partitions; i++)
		list->first[i] = -1;
	for (uint64 row = 0; row < rows; row++)
	{
		text *name = sierra_query_text(row, 1);

		if (list->count == 0 || !same_text(list->items[list->count - 1].name, name))
			add_item(list, row, name);
		list->items[list->count - 1].cursors++;
		add_cursor(list, row);
	}
	MemoryContextSwitchTo(spi);
	sierra_query_end();
}

/* A partition whose events are counted.  Several cursors in a row are often at one place. */
typedef struct Counter
{
	const SierraStore *store;
	int partition;
	SierraSource *source; /* NULL under row-level security */
	int64 place;
	int64 events; /* after it */
} Counter;

static int64
count_visible(const Counter *counter, int64 position)
{
	int64 first = sierra_locate_first_after(counter->store, counter->partition, position);

	return first == SIERRA_NONE
			   ? 0
			   : sierra_row_security_count(counter->store, counter->partition, first);
}

/* Adds the events of a partition that are after a cursor. */
static void
count_after(Counter *counter, WatchCursor *cursor)
{
	CHECK_FOR_INTERRUPTS();
	if (cursor->position != counter->place)
	{
		counter->place = cursor->position;
		counter->events = counter->source == NULL
							  ? count_visible(counter, counter->place)
							  : sierra_locate_count(counter->source, counter->place);
	}
	cursor->events += counter->events;
}

static void
count_in_partition(WatchList *list, int partition)
{
	SierraSource source;
	Counter counter = {list->store, partition, list->row_security ? NULL : &source, SIERRA_NOT_READ,
					   0};

	if (!list->row_security)
		sierra_locate_begin(list->store, partition, &source);
	for (int i = 0; i < list->count; i++)
	{
		WatchCursor *cursor = &list->cursors[list->items[i].first];

		if (cursor->partition == SIERRA_WHOLE &&
			(list->items[i].wanted == NULL || list->items[i].wanted[partition]))
			count_after(&counter, cursor);
	}
	for (int i = list->first[partition + 1]; i >= 0; i = list->cursors[i].next)
		count_after(&counter, &list->cursors[i]);
	if (!list->row_security)
		sierra_locate_end(list->store, &source);
}

static void
count_events(WatchList *list)
{
	for (int i = 0; i < list->store->partitions; i++)
		count_in_partition(list, i);
	for (int i = 0; i < list->count; i++)
	{
		for (int j = 0; j < list->items[i].cursors; j++)
			list->items[i].events += list->cursors[list->items[i].first + j].events;
	}
}

/* Has no cursor of the subscription reached the event? */
static bool
is_pending(const WatchList *list, const Watched *item, const SierraPendingMemo *memo)
{
	for (int i = item->first; i < item->first + item->cursors; i++)
	{
		const WatchCursor *cursor = &list->cursors[i];

		if (cursor->partition == SIERRA_WHOLE || cursor->partition == memo->partition)
			return cursor->position < memo->position;
	}
	return false;
}

/* True if the oldest event of a subscription is known without a look. */
static bool
is_known(const WatchList *list, Watched *item)
{
	const SierraPendingMemo *memo =
		sierra_pending_recall(list->store, item->name, item->created_at);

	item->found = SIERRA_PENDING_NONE;
	if (item->events == 0 && !item->diverted)
		return true;
	item->look = memo == NULL ? 0 : memo->look;
	item->found = SIERRA_PENDING_UNKNOWN;
	if (memo == NULL || memo->position == SIERRA_NONE)
		return false;
	/* Without time for a look, the oldest event of the last one says how old it is at most. */
	item->found = SIERRA_PENDING_FOUND;
	item->at = memo->at;
	return !item->diverted && memo->diverted == 0 && is_pending(list, item, memo);
}

static int
compare_looks(const void *a, const void *b)
{
	uint64 first = (*(Watched *const *) a)->look;
	uint64 second = (*(Watched *const *) b)->look;

	return first < second ? -1 : first > second;
}

static SierraTime
end_of_look(SierraTime give_up)
{
	return give_up == SIERRA_NEVER ? give_up : Min(give_up, sierra_after_ms(sierra_now(), LOOK_MS));
}

/* Those come first for which the session has not looked for the longest time. */
static void
find_oldest(WatchList *list, SierraTime give_up)
{
	Watched **unknown =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Watched *) * (list->count + 1));
	int count = 0;

	for (int i = 0; i < list->count; i++)
	{
		if (!is_known(list, &list->items[i]))
			unknown[count++] = &list->items[i];
	}
	qsort(unknown, count, sizeof(Watched *), compare_looks);
	for (int i = 0; i < count && (i < LOOKS_MIN || sierra_now() < give_up); i++)
		unknown[i]->found = sierra_pending_find(list->store, unknown[i]->name, SIERRA_WHOLE,
												end_of_look(give_up), &unknown[i]->at);
}

static void
put_row(ReturnSetInfo *result, const Watched *item, const WatchCursor *cursor)
{
	bool nulls[4] = {false};
	Datum values[4] = {0};

	values[0] = PointerGetDatum(item->name);
	nulls[1] = cursor == NULL;
	nulls[3] = cursor != NULL || item->found == SIERRA_PENDING_NONE;
	if (cursor != NULL)
		values[1] = PointerGetDatum(cursor->consumer);
	values[2] = Int64GetDatum(cursor != NULL ? cursor->events : item->events);
	values[3] = TimestampTzGetDatum(item->found == SIERRA_PENDING_UNKNOWN ? DT_NOEND : item->at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * list_pending(store, projections, until): a row for each subscription, and one for each cursor
 * that a consumer has.  until: null if nobody asks for the oldest events.  No rows under row-level
 * security, which would hide events.
 */
Datum
sierra_list_pending(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WatchList list = {0};
	bool projections;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	projections = PG_GETARG_BOOL(1);
	InitMaterializedSRF(fcinfo, 0);
	list.store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);
	if (sierra_store_has_row_security(list.store))
		return (Datum) 0;
	load(&list, &projections);
	count_events(&list);
	if (!PG_ARGISNULL(2))
		find_oldest(&list, sierra_time_of_wall(sierra_now(), PG_GETARG_TIMESTAMPTZ(2)));
	for (int i = 0; i < list.count; i++)
	{
		const Watched *item = &list.items[i];

		put_row(result, item, NULL);
		for (int j = 0; j < item->cursors; j++)
		{
			if (list.cursors[item->first + j].consumer != NULL)
				put_row(result, item, &list.cursors[item->first + j]);
		}
	}
	return (Datum) 0;
}

/*
 * count_events_after_cursors(store): how many events are after each cursor of all subscriptions.
 * Under row-level security, those that the user may see.
 */
Datum
sierra_count_after_cursors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool nulls[3] = {false};
	Datum values[3];
	WatchList list = {0};

	InitMaterializedSRF(fcinfo, 0);
	list.store = sierra_store_open_named(NameStr(*PG_GETARG_NAME(0)), ACL_SELECT);
	load(&list, NULL);
	count_events(&list);
	for (int i = 0; i < list.count; i++)
	{
		const Watched *item = &list.items[i];

		for (int j = item->first; j < item->first + item->cursors; j++)
		{
			values[0] = PointerGetDatum(item->name);
			values[1] = Int32GetDatum(list.cursors[j].partition);
			values[2] = Int64GetDatum(list.cursors[j].events);
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}
