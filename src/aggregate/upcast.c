/*
 * upcast.c
 *		Upcasters: old events in the form that today's code knows.
 *
 * The schema version of an event is the member schema_version of its metadata,
 * or 1 without it.  An upcaster converts payloads of one event name from one
 * version to the next, so upcasters form chains.  Stored events never change.
 */
#include "postgres.h"

#include "aggregate/upcast.h"
#include "base/compat.h"
#include "base/json_convert.h"
#include "base/json_slice.h"
#include "base/text.h"
#include "store/event.h"
#include "store/extension.h"
#include "store/query.h"
#include "store/user_function.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#define FIRST_VERSION 1

typedef struct Upcaster
{
	text *event_name;
	int32 from_version;
	char *procedure;
	bool ready; /* the function is looked up, and the next two are set */
	bool takes_jsonb;
	FmgrInfo function;
} Upcaster;

struct SierraUpcasters
{
	MemoryContext context;
	int count;
	Upcaster upcasters[FLEXIBLE_ARRAY_MEMBER]; /* sorted by event name, then version */
};

static const SierraQuery upcasters_query = {
	"SELECT u.event_name::pg_catalog.text, u.from_version::pg_catalog.int4,"
	"       u.upcast::pg_catalog.text"
	"  FROM %1$s.upcasters AS u"
	" ORDER BY u.event_name::pg_catalog.text COLLATE pg_catalog.\"C\" USING OPERATOR(pg_catalog.<),"
	"          u.from_version::pg_catalog.int4 USING OPERATOR(pg_catalog.<)",
	0,
	{0}};

bool
sierra_upcasters_exist(const SierraStore *store)
{
	Relation relation = table_open(sierra_store_table(store, "upcasters"), AccessShareLock);
	bool exist;

	exist =
		relation->rd_rel->relkind != RELKIND_RELATION || RelationGetNumberOfBlocks(relation) > 0;
	table_close(relation, NoLock);
	return exist;
}

SierraUpcasters *
sierra_upcasters_load(const SierraStore *store, MemoryContext context)
{
	SierraUpcasters *upcasters;
	MemoryContext old;
	uint64 count;

	(void) sierra_store_table(store, "upcasters");
	count = sierra_query(store, &upcasters_query, NULL, NULL, true);
	if (count == 0)
		return NULL;
	old = MemoryContextSwitchTo(context);
	upcasters = palloc0(offsetof(SierraUpcasters, upcasters) + sizeof(Upcaster) * count);
	upcasters->context = context;
	upcasters->count = count;
	for (uint64 i = 0; i < count; i++)
	{
		Upcaster *upcaster = &upcasters->upcasters[i];

		upcaster->event_name = DatumGetTextPCopy(sierra_query_required(i, 1, TEXTOID));
		upcaster->from_version = sierra_query_int4(i, 2);
		upcaster->procedure = sierra_query_cstring(i, 3);
	}
	MemoryContextSwitchTo(old);
	return upcasters;
}

static int
compare(const Upcaster *upcaster, const text *event_name, int32 version)
{
	int order = sierra_text_compare(upcaster->event_name, event_name);

	if (order != 0)
		return order;
	return upcaster->from_version < version ? -1 : upcaster->from_version > version;
}

static Upcaster *
find(SierraUpcasters *upcasters, const text *event_name, int32 version)
{
	int low = 0;
	int high = upcasters->count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		int order = compare(&upcasters->upcasters[middle], event_name, version);

		if (order == 0)
			return &upcasters->upcasters[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void
make_ready(SierraUpcasters *upcasters, Upcaster *upcaster)
{
	Oid function;
	Oid type;

	if (upcaster->ready)
		return;
	function = sierra_function_of_text(upcaster->procedure);
	type = get_func_rettype(function);
	if ((type != JSONOID && type != JSONBOID) || !sierra_function_fits(function, 1, &type, type))
		ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				errmsg("function %s is not an upcaster", upcaster->procedure),
				errhint("An upcaster takes json and returns json, or takes jsonb and returns "
						"jsonb."));
	sierra_function_check_execute(function);
	upcaster->takes_jsonb = type == JSONBOID;
	fmgr_info_cxt(function, &upcaster->function, upcasters->context);
	upcaster->ready = true;
}

static void
call(Upcaster *upcaster, Datum *payload, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 1);

	if (*isnull && upcaster->function.fn_strict)
		return;
	InitFunctionCallInfoData(*fcinfo, &upcaster->function, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].isnull = *isnull;
	fcinfo->args[0].value = upcaster->takes_jsonb && !*isnull
								? sierra_jsonb_of_json(DatumGetTextPP(*payload))
								: *payload;
	*payload = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	if (upcaster->takes_jsonb && !*isnull)
		*payload = PointerGetDatum(sierra_json_of_jsonb(*payload));
}

/*
 * The schema version in metadata.  If the member is not a version, 0, for which
 * there is no upcaster.  If the member occurs twice, the last one counts, as
 * for the operator ->>.
 */
static int32
read_version(const text *metadata)
{
	SierraSlice version;

	if (metadata == NULL)
		return FIRST_VERSION;
	version = sierra_json_member(metadata, "\"schema_version\"");
	if (version.start == NULL || sierra_slice_is(version, "null"))
		return FIRST_VERSION;
	if (*version.start == '"')
	{
		version.start++;
		version.length -= 2;
	}
	if (version.length < 1 || version.length > 9 ||
		strspn(version.start, "0123456789") < version.length)
		return 0;
	return pg_strtoint32(pnstrdup(version.start, version.length));
}

/* Metadata with another schema version.  The other members keep their text and order. */
static Datum
write_version(const text *metadata, int32 version)
{
	StringInfoData result;
	SierraJsonReader reader;
	SierraJsonMember member;

	initStringInfo(&result);
	appendStringInfoChar(&result, '{');
	/* Metadata that is not an object has no members to keep. */
	if (metadata != NULL && sierra_json_begin_object(&reader, metadata))
	{
		while (sierra_json_next_member(&reader, &member))
		{
			if (!sierra_slice_is(member.name, "\"schema_version\""))
				appendStringInfo(&result, "%.*s: %.*s, ", member.name.length, member.name.start,
								 member.value.length, member.value.start);
		}
	}
	appendStringInfo(&result, "\"schema_version\": %d}", version);
	return PointerGetDatum(cstring_to_text_with_len(result.data, result.len));
}

void
sierra_upcast(SierraUpcasters *upcasters, Datum *values, bool *nulls)
{
	text *event_name = DatumGetTextPP(values[SIERRA_EVENT_NAME]);
	text *metadata = NULL;
	int32 version;
	int32 first;
	Upcaster *upcaster;

	/* Payloads that are not JSON are not upcast. */
	if (!nulls[SIERRA_EVENT_PAYLOAD_BYTES])
		return;
	if (!nulls[SIERRA_EVENT_METADATA])
		metadata = DatumGetTextPP(values[SIERRA_EVENT_METADATA]);
	first = version = read_version(metadata);
	while ((upcaster = find(upcasters, event_name, version)) != NULL)
	{
		make_ready(upcasters, upcaster);
		call(upcaster, &values[SIERRA_EVENT_PAYLOAD], &nulls[SIERRA_EVENT_PAYLOAD]);
		version++;
	}
	if (version == first)
		return;
	values[SIERRA_EVENT_METADATA] = write_version(metadata, version);
	nulls[SIERRA_EVENT_METADATA] = false;
}

/* The content is valid for one store and one snapshot. */
struct SierraUpcastersCache
{
	SierraCachedUpcasters found;
	bool filled;
	NameData store;
	TransactionId xmin;
	TransactionId xmax;
	uint32 xcnt;
	int32 subxcnt;
	CommandId curcid;
	LocalTransactionId transaction;
	MemoryContext context;
};

/*
 * As long as xmax is the same, transactions can only leave the set of running
 * transactions.  So equal numbers of transactions mean equal sets, and equal
 * snapshots, which see the same rows.
 */
static bool
cache_holds(const SierraUpcastersCache *cache, const SierraStore *store, Snapshot snapshot)
{
	return cache->filled && strcmp(NameStr(cache->store), NameStr(store->name)) == 0 &&
		   cache->xmin == snapshot->xmin && cache->xmax == snapshot->xmax &&
		   cache->xcnt == snapshot->xcnt && cache->subxcnt == snapshot->subxcnt &&
		   cache->curcid == snapshot->curcid &&
		   cache->transaction == sierra_compat_local_transaction_id();
}

const SierraCachedUpcasters *
sierra_upcasters_find(SierraUpcastersCache **kept, MemoryContext context, const SierraStore *store,
					  Oid event_type)
{
	SierraUpcastersCache *cache = *kept;
	Snapshot snapshot = GetActiveSnapshot();
	MemoryContext old;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(context, sizeof(SierraUpcastersCache));
		cache->context =
			AllocSetContextCreate(context, "sierra_es upcasters", ALLOCSET_SMALL_SIZES);
		*kept = cache;
	}
	if (cache_holds(cache, store, snapshot))
		return &cache->found;

	cache->filled = false;
	MemoryContextReset(cache->context);
	sierra_query_begin();
	cache->found.upcasters = sierra_upcasters_load(store, cache->context);
	sierra_query_end();
	old = MemoryContextSwitchTo(cache->context);
	cache->found.desc = sierra_extension_event_desc();
	MemoryContextSwitchTo(old);
	cache->store = store->name;
	cache->xmin = snapshot->xmin;
	cache->xmax = snapshot->xmax;
	cache->xcnt = snapshot->xcnt;
	cache->subxcnt = snapshot->subxcnt;
	cache->curcid = snapshot->curcid;
	cache->transaction = sierra_compat_local_transaction_id();
	cache->filled = true;
	return &cache->found;
}
