/*
 * run_projection.c
 *		Runs a projection: calls its handler with the next events of its subscription.
 *
 * The events are read from the subscription here, so nobody can call a handler
 * with made-up events.  The whole run is done as the projection's owner, so
 * what the handler sees does not depend on the role that runs it.
 *
 * The handler's effects, the states and the acknowledgement are one
 * transaction.  A batch runs in a subtransaction.  If that fails, the first
 * half of the batch is tried, and so on, until the event that fails is tried
 * alone.  That needs few subtransactions, and when the failing event is found,
 * the events before it are handled.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/subtransaction.h"
#include "base/transient.h"
#include "projection/handler.h"
#include "projection/run_projection.h"
#include "read/event_rows.h"
#include "store/early_release.h"
#include "store/in_progress.h"
#include "store/query.h"
#include "store/time_limit.h"
#include "subscription/acknowledge.h"
#include "subscription/delivery.h"
#include "subscription/pending.h"
#include "wakeup/progress.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* One call. */
typedef struct Running
{
	const SierraRun *run;
	SierraProjection *projection;
	SierraBatch batch;
	int64 handled;
	int64 written;	   /* how many of these are recorded in the row */
	TimestampTz since; /* when the first of the others began */
	bool holds_live;   /* the live version is locked, and cannot run meanwhile */
	bool timed_out;	   /* a part has taken too long, and the run has to end */
} Running;

static const SierraQuery progress_query = {
	"UPDATE %1$s.projections AS p SET state = 'running', attempts = 0, interruptions = 0,"
	" retry_at = NULL, failed_position = NULL, failed_stream = NULL,"
	" processed = p.processed OPERATOR(pg_catalog.+) $3,"
	" rate = CASE WHEN p.rate IS NULL THEN $4"
	" ELSE p.rate OPERATOR(pg_catalog.*) 0.7 OPERATOR(pg_catalog.+) ($4 OPERATOR(pg_catalog.*) 0.3)"
	" END, updated_at = pg_catalog.clock_timestamp()"
	" WHERE p.projection OPERATOR(pg_catalog.=) $1 AND p.version OPERATOR(pg_catalog.=) $2",
	4,
	{TEXTOID, INT4OID, INT8OID, FLOAT8OID}};

static const SierraQuery stop_query = {
	"UPDATE %1$s.projections AS p SET attempts = n.attempts,"
	" interruptions = 0, state = CASE WHEN n.attempts OPERATOR(pg_catalog.>=) p.max_attempts THEN "
	"'stopped'"
	" ELSE 'retrying' END,"
	" retry_at = CASE WHEN n.attempts OPERATOR(pg_catalog.<) p.max_attempts"
	" THEN pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)"
	" sierra_internal.retry_pause(n.attempts, p.retry_after) END,"
	" failed_position = $3, failed_stream = $4, last_error = $5,"
	" last_error_at = pg_catalog.clock_timestamp(), updated_at = pg_catalog.clock_timestamp()"
	" FROM (SELECT CASE WHEN f.failed_position OPERATOR(pg_catalog.=) $3"
	" THEN f.attempts OPERATOR(pg_catalog.+) 1 ELSE 1 END AS attempts FROM %1$s.projections AS f"
	" WHERE f.projection OPERATOR(pg_catalog.=) $1 AND f.version OPERATOR(pg_catalog.=) $2) AS n"
	" WHERE p.projection OPERATOR(pg_catalog.=) $1 AND p.version OPERATOR(pg_catalog.=) $2"
	" RETURNING p.state",
	5,
	{TEXTOID, INT4OID, INT8OID, TEXTOID, TEXTOID}};

static const SierraQuery error_query = {
	"UPDATE %1$s.projections AS p SET interruptions = 0, last_error = $3,"
	" last_error_at = pg_catalog.clock_timestamp(), updated_at = pg_catalog.clock_timestamp()"
	" WHERE p.projection OPERATOR(pg_catalog.=) $1 AND p.version OPERATOR(pg_catalog.=) $2",
	3,
	{TEXTOID, INT4OID, TEXTOID}};

static const SierraQuery hold_live_query = {
	"SELECT FROM %1$s.projections AS p WHERE p.projection OPERATOR(pg_catalog.=) $1 AND p.live"
	" FOR UPDATE SKIP LOCKED",
	1,
	{TEXTOID}};

static const SierraQuery failing_query = {
	"SELECT FROM %1$s.subscription_streams AS t WHERE t.subscription OPERATOR(pg_catalog.=) $1"
	" AND (t.state OPERATOR(pg_catalog.=) 'retrying' OR t.state OPERATOR(pg_catalog.=) 'parked')"
	" LIMIT 1",
	1,
	{TEXTOID}};

/* Does a query about the projection return a row? */
static bool
ask(const SierraProjection *projection, const SierraQuery *query, text *name)
{
	Datum values[2] = {PointerGetDatum(name), Int32GetDatum(projection->version)};
	bool found;

	sierra_query_begin();
	found = sierra_query(projection->store, query, values, NULL, false) > 0;
	sierra_query_end();
	return found;
}

/* Reads the next events into the batch. */
static void
next_batch(Running *running, int max_count)
{
	SierraProjection *projection = running->projection;
	SierraConsume consume = {.subscription = projection->subscription};
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	SierraEventRows result;

	sierra_event_rows_begin_in(&result, projection->store, rows, projection->desc, max_count);
	sierra_consume(&consume, &result);
	sierra_batch_read(&running->batch, projection, rows, max_count);
	tuplestore_end(rows);
}

/* The events of the batch from index "from" to "to" - 1. */
typedef struct Part
{
	Running *running;
	int from;
	int to;
	MemoryContext context; /* of what is needed only while they are handled */
} Part;

/* Handles and acknowledges a part. */
static void
handle_part(void *arg)
{
	Part *part = arg;
	Running *running = part->running;
	SierraProjection *projection = running->projection;
	SierraBatch batch;

	MemoryContextSwitchTo(part->context);
	sierra_time_limit_begin();
	sierra_push_new_snapshot();
	batch = sierra_batch_part(projection, &running->batch, part->from, part->to);
	sierra_project(projection, &batch);
	PopActiveSnapshot();
	sierra_acknowledge(projection->store, projection->subscription,
					   running->batch.positions[part->to - 1], NULL);
}

/*
 * Handles a part of the batch in a subtransaction; returns its error, or NULL.  An
 * error that says nothing about the events is raised again.  Many parts may be tried
 * until the event that fails is found, so the memory of each is freed.
 */
static ErrorData *
try_part(Running *running, int from, int to)
{
	Part part = {running, from, to,
				 AllocSetContextCreate(CurrentMemoryContext, "sierra_es part of a batch",
									   ALLOCSET_DEFAULT_SIZES)};
	ErrorData *error = sierra_subtransaction(handle_part, &part, true);

	MemoryContextDelete(part.context);
	if (error != NULL && sierra_time_limit_take(error))
		running->timed_out = true;
	sierra_time_limit_end();
	if (error != NULL && sierra_error_is_transient(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/*
 * Handles the events of the batch from index "from" to "to" - 1.  Returns how
 * far it came: "to", or the index of the event that failed, with its error in
 * *error, or of the first that there was no time for, with none.
 */
static int
handle_range(Running *running, int from, int to, ErrorData **error)
{
	int middle = from + (to - from) / 2;
	int done;

	*error = try_part(running, from, to);
	if (*error == NULL)
		return to;
	if (to - from == 1)
		return from;
	/*
	 * The time is over, so only the first event is tried alone.  If another one took the
	 * time, the next run finds it.
	 */
	if (running->timed_out)
	{
		*error = try_part(running, from, from + 1);
		return *error == NULL ? from + 1 : from;
	}
	done = handle_range(running, from, middle, error);
	return done < middle || running->timed_out ? done : handle_range(running, middle, to, error);
}

/* Retries the event later, or parks it: its stream waits, other streams continue. */
static const char *
set_aside(const SierraProjection *projection, int64 position, text *reason)
{
	SierraFailure failure = {.position = position,
							 .retry_after = projection->retry_after,
							 .doubles = true,
							 .reason = reason};
	Datum values[3] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version),
					   PointerGetDatum(reason)};
	bool parked = sierra_reject(projection->store, projection->subscription, &failure, NULL);

	sierra_query_begin();
	sierra_query(projection->store, &error_query, values, NULL, false);
	sierra_query_end();
	return parked ? "parked the event" : "will retry the event";
}

/* Stops at the event: until the next attempt, or until somebody starts the projection again. */
static const char *
stop_at(const SierraProjection *projection, int64 position, text *stream_id, text *reason)
{
	Datum values[5] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version),
					   Int64GetDatum(position), PointerGetDatum(stream_id),
					   PointerGetDatum(reason)};
	const char *result = "will retry";

	sierra_query_begin();
	if (sierra_query(projection->store, &stop_query, values, NULL, false) > 0 &&
		strcmp(sierra_query_cstring(0, 1), "stopped") == 0)
		result = "stopped";
	sierra_query_end();
	return result;
}

static void
record_failure(const Running *running, int failed, const ErrorData *error)
{
	const SierraProjection *projection = running->projection;
	int64 position = running->batch.positions[failed];
	text *stream_id = running->batch.streams[failed];
	text *reason =
		cstring_to_text(psprintf("%s: %s", unpack_sql_state(error->sqlerrcode), error->message));
	const char *result = projection->parks ? set_aside(projection, position, reason)
										   : stop_at(projection, position, stream_id, reason);

	ereport(WARNING, errcode(error->sqlerrcode),
			errmsg("%s \"%s\" %s",
				   projection->kind == SIERRA_MANAGES ? "process manager" : "projection",
				   text_to_cstring(projection->name), result),
			errdetail("Event at position %lld of stream \"%s\": %s.", (long long) position,
					  text_to_cstring(stream_id), error->message));
}

/* Records what was handled since the last call. */
static void
record_progress(Running *running)
{
	const SierraProjection *projection = running->projection;
	SierraTime now = sierra_now();
	double seconds = Max(now - running->since, 1) / (double) USECS_PER_SEC;
	int64 handled = running->handled - running->written;
	Datum values[4] = {PointerGetDatum(projection->name), Int32GetDatum(projection->version),
					   Int64GetDatum(handled), Float8GetDatum(handled / seconds)};

	if (handled == 0)
		return;
	sierra_query_begin();
	sierra_query(projection->store, &progress_query, values, NULL, false);
	sierra_query_end();
	running->written = running->handled;
	running->since = now;
}

/*
 * No event is left, so a version that is being built may take over.  It first
 * locks the live version, and then looks for events once more.  After that, it
 * has handled all events that the live version has handled.  Returns true if
 * the caller has to look once more.
 */
static bool
take_over(Running *running)
{
	SierraProjection *projection = running->projection;

	if (projection->live || !projection->automatic ||
		ask(projection, &failing_query, projection->subscription))
		return false;
	if (!running->holds_live)
	{
		running->holds_live = ask(projection, &hold_live_query, projection->name);
		return running->holds_live;
	}
	OidFunctionCall3(running->run->take_over, NameGetDatum(&projection->store->name),
					 PointerGetDatum(projection->name), Int32GetDatum(projection->version));
	return false;
}

/*
 * Runs batches between sierra_projection_enter() and sierra_projection_leave().
 * Returns false if the run ended because the handler failed.
 */
static bool
run_batches(Running *running)
{
	const SierraProjection *projection = running->projection;
	int64 max_count = running->run->max_count;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es projection", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	bool ok = true;

	while (ok && running->handled < max_count)
	{
		ErrorData *error;
		int done;

		MemoryContextReset(context);
		next_batch(running, (int) Min(projection->batch_size, max_count - running->handled));
		if (running->batch.count == 0)
		{
			if (!take_over(running))
				break;
			continue;
		}
		done = handle_range(running, 0, running->batch.count, &error);
		running->handled += done;
		sierra_progress_add(done);
		if (done < running->batch.count)
		{
			record_progress(running);
			if (error != NULL)
				record_failure(running, done, error);
			ok = projection->parks;
		}
		if (running->timed_out || sierra_time_limit_is_over())
			break;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return ok;
}

static void
add_error_context(void *name)
{
	errcontext("projection \"%s\"", text_to_cstring(name));
}

static const char *
describe(const SierraProjection *projection)
{
	return psprintf("version %d of projection %s", projection->version,
					text_to_cstring(projection->name));
}

/*
 * A version that is being built can have the whole store before it.  How many events it has to
 * read is known, but not how many of them it wants.
 */
static void
begin_progress(const SierraProjection *projection)
{
	int64 total = sierra_pending_count(projection->store, projection->subscription);

	sierra_progress_begin("rebuild", NameStr(projection->store->name), describe(projection));
	sierra_progress_phase("handling events", total);
}

int64
sierra_run_projection(SierraStore *store, const SierraRun *run)
{
	Running running = {.run = run, .since = sierra_now()};
	ErrorContextCallback context = {
		.previous = error_context_stack, .callback = add_error_context, .arg = run->projection};
	SierraInProgress in_progress;
	SierraProjection *projection;

	PreventCommandDuringRecovery("run_projection()");
	PreventCommandIfReadOnly("run_projection()");
	projection = sierra_projection_find(store, run->projection, run->version, ACL_UPDATE,
										SIERRA_PROJECTION_LOCKED);
	if (projection == NULL || !projection->running || projection->subscription == NULL)
		return 0;
	if (!sierra_in_progress_begin(&in_progress, store, describe(projection)))
		return 0;
	running.projection = projection;
	error_context_stack = &context;
	PG_TRY();
	{
		sierra_projection_enter(projection, run->event_type);
		/* Opened again as the owner, whose rights decide which events are read. */
		projection->store = sierra_store_open_named(NameStr(store->name), ACL_SELECT);
		if (!projection->live)
			begin_progress(projection);
		run_batches(&running);
		record_progress(&running);
		if (!projection->live)
			sierra_progress_end();
		sierra_projection_leave(projection);
	}
	PG_FINALLY();
	{
		sierra_in_progress_end(&in_progress);
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	return running.handled;
}
