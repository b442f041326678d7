/*
 * export_sql.c
 *		The SQL functions export_events() and event_hashes().
 */
#include "postgres.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/guc.h"
#include "read/export.h"
#include "read/read_all.h"
#include "store/event.h"
#include "wakeup/progress.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "funcapi.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(sierra_export_events);
PG_FUNCTION_INFO_V1(sierra_event_hashes);

/* Lines are read in portions of this number of events or bytes, whichever comes first. */
#define PORTION_EVENTS 1000
#define PORTION_BYTES (1024 * 1024)

/* How many ranges of streams there can be. */
#define RANGES_MAX 4096

/* A call of export_events(), which returns one line at a time. */
typedef struct Lines
{
	SierraStore *store;
	SierraReadAll request; /* of the next portion */
	bool numbers;
	MemoryContext context; /* of the portion */
	text *line[PORTION_EVENTS];
	int count;
	int next; /* to return */
	Size bytes;
} Lines;

static int64
get_position(FunctionCallInfo fcinfo, int arg, const char *name)
{
	int64 position = PG_GETARG_INT64(arg);

	if (position < SIERRA_NONE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("%s must not be less than -1", name),
				errdetail("It is %lld.", (long long) position));
	return position;
}

/* The store that argument 0 names, for a role that may read it.  This can wait for a lock. */
static SierraStore *
begin(FunctionCallInfo fcinfo, const char *operation)
{
	const char *store = PG_ARGISNULL(0) ? sierra_guc_store : NameStr(*PG_GETARG_NAME(0));

	sierra_progress_begin(operation, store, "");
	return sierra_store_open_named(store, ACL_SELECT);
}

/* What is stored now, or up to the position of an argument. */
static void
set_end(FunctionCallInfo fcinfo, int arg, const SierraStore *store, SierraReadAll *request)
{
	request->bounded = true;
	request->to = sierra_read_horizon(store);
	if (!PG_ARGISNULL(arg))
		request->to = Min(request->to, get_position(fcinfo, arg, "to_position"));
	/* Positions have gaps: there are at most this many events. */
	sierra_progress_phase("reading events", Max(request->to - request->after, 0));
}

/* Also if the caller has read enough before the last line. */
static void
end_lines(Datum arg)
{
	sierra_progress_end();
}

static bool
keep_line(void *arg, const Datum *values, StringInfo line)
{
	Lines *lines = arg;
	MemoryContext caller = MemoryContextSwitchTo(lines->context);

	lines->line[lines->count++] = cstring_to_text_with_len(line->data, line->len);
	lines->bytes += line->len;
	lines->request.after = DatumGetInt64(values[SIERRA_EVENT_POSITION]);
	MemoryContextSwitchTo(caller);
	return lines->count < PORTION_EVENTS && lines->bytes < PORTION_BYTES;
}

static Lines *
begin_lines(FunctionCallInfo fcinfo)
{
	Lines *lines = palloc0(sizeof(Lines));

	sierra_require_argument(fcinfo, 1, "after_position");
	sierra_require_argument(fcinfo, 3, "numbers");
	lines->store = begin(fcinfo, "export");
	lines->request.after = get_position(fcinfo, 1, "after_position");
	lines->request.expected_rows = PORTION_EVENTS;
	set_end(fcinfo, 2, lines->store, &lines->request);
	lines->numbers = PG_GETARG_BOOL(3);
	lines->context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es lines", ALLOCSET_DEFAULT_SIZES);
	return lines;
}

static void
read_portion(Lines *lines)
{
	SierraReadAll request = lines->request;

	lines->count = lines->next = 0;
	lines->bytes = 0;
	MemoryContextReset(lines->context);
	sierra_export(lines->store, &request, lines->numbers, keep_line, lines);
}

/*
 * One line at a time: in a select list, as in COPY (SELECT export_events()), nothing is
 * collected, whatever the size of the store.
 */
Datum
sierra_export_events(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	Lines *lines;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext caller;

		call = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		call->user_fctx = lines = begin_lines(fcinfo);
		MemoryContextSwitchTo(caller);
		RegisterExprContextCallback(((ReturnSetInfo *) fcinfo->resultinfo)->econtext, end_lines,
									(Datum) 0);
	}
	call = SRF_PERCALL_SETUP();
	lines = call->user_fctx;
	if (lines->next == lines->count && lines->request.after < lines->request.to)
		read_portion(lines);
	if (lines->next == lines->count)
	{
		sierra_progress_end();
		SRF_RETURN_DONE(call);
	}
	sierra_progress_add(1);
	SRF_RETURN_NEXT(call, PointerGetDatum(lines->line[lines->next++]));
}

/* What event_hashes() has found out about a range of streams. */
typedef struct Range
{
	int64 events;
	uint64 hash;
} Range;

typedef struct Hashes
{
	int count;
	Range *ranges;
	pg_cryptohash_ctx *sha256;
} Hashes;

static void
hash_bytes_into(Hashes *hashes, const char *bytes, int length, uint8 *digest)
{
	if (pg_cryptohash_init(hashes->sha256) < 0 ||
		pg_cryptohash_update(hashes->sha256, (const uint8 *) bytes, length) < 0 ||
		pg_cryptohash_final(hashes->sha256, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute a hash: %s", pg_cryptohash_error(hashes->sha256));
}

static bool
add_to_range(void *arg, const Datum *values, StringInfo line)
{
	Hashes *hashes = arg;
	const text *stream = DatumGetTextPP(values[SIERRA_EVENT_STREAM]);
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	uint64 start;
	Range *range;

	hash_bytes_into(hashes, VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream), digest);
	range = &hashes->ranges[(digest[0] << 8 | digest[1]) % hashes->count];
	hash_bytes_into(hashes, line->data, line->len, digest);
	memcpy(&start, digest, sizeof(start));
	range->hash += pg_ntoh64(start);
	range->events++;
	sierra_progress_add(1);
	return true;
}

static int
get_ranges(FunctionCallInfo fcinfo)
{
	sierra_require_argument(fcinfo, 1, "ranges");
	if (PG_GETARG_INT32(1) < 1 || PG_GETARG_INT32(1) > RANGES_MAX)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"ranges\" must be 1 to %d", RANGES_MAX),
				errdetail("It is %d.", PG_GETARG_INT32(1)));
	return PG_GETARG_INT32(1);
}

Datum
sierra_event_hashes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SierraStore *store = begin(fcinfo, "hashes");
	SierraReadAll request = {.after = SIERRA_NONE, .expected_rows = PG_INT32_MAX};
	Hashes hashes = {.count = get_ranges(fcinfo)};

	hashes.ranges = palloc0(sizeof(Range) * hashes.count);
	set_end(fcinfo, 2, store, &request);
	InitMaterializedSRF(fcinfo, 0);
	hashes.sha256 = pg_cryptohash_create(PG_SHA256);
	sierra_export(store, &request, false, add_to_range, &hashes);
	sierra_progress_end();
	pg_cryptohash_free(hashes.sha256);
	for (int i = 0; i < hashes.count; i++)
	{
		bool nulls[3] = {false};
		Datum values[] = {
			Int32GetDatum(i), Int64GetDatum(hashes.ranges[i].events),
			CStringGetTextDatum(psprintf("%016llx", (unsigned long long) hashes.ranges[i].hash))};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
