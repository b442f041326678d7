/*
 * import.c
 *		Imports events that export_events() or another program wrote.
 *
 * Lines that follow each other and have the same transaction_id were written by one call of an
 * append, and become one again, with this id.  Every other line is a call of its own.
 *
 * An import can be repeated: an append whose events are stored already returns their numbers
 * and stores nothing, see idempotency.c.  If only some events of a call are stored, because
 * an earlier import had its lines in other batches, they are appended one by one.
 */
#include "postgres.h"

#include "append/append.h"
#include "append/import.h"
#include "append/route.h"
#include "append/tag_locks.h"
#include "base/compat.h"
#include "base/routing.h"
#include "wakeup/progress.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* The partition key that the line gives its stream; NULL if it is that of the stream's name. */
static const pg_uuid_t *
key_of(const SierraLineEvent *line)
{
	const text *stream = line->event.stream_id;
	pg_uuid_t name_key;

	if (!line->has_key)
		return NULL;
	sierra_uuid_of_name(VARDATA_ANY(stream), VARSIZE_ANY_EXHDR(stream), &name_key);
	return sierra_uuid_equal(&name_key, &line->key) ? NULL : &line->key;
}

static bool
is_of_same_call(const SierraLineEvent *a, const SierraLineEvent *b)
{
	const pg_uuid_t *a_key = key_of(a);
	const pg_uuid_t *b_key = key_of(b);

	if (!a->has_transaction || !b->has_transaction ||
		!sierra_uuid_equal(&a->transaction_id, &b->transaction_id))
		return false;
	return a_key == NULL || b_key == NULL ? a_key == b_key : sierra_uuid_equal(a_key, b_key);
}

/* The number of lines of a call that begins with the first one. */
static int
length_of_call(const SierraLineEvent *lines, int count)
{
	int length = 1;

	while (length < count && is_of_same_call(&lines[length - 1], &lines[length]))
		length++;
	return length;
}

static SierraNewEvent *
events_of(SierraLineEvent *lines, int count)
{
	SierraNewEvent *events =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SierraNewEvent) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		events[i] = lines[i].event;
		events[i].expected = SIERRA_EXPECT_ANY;
		if (lines[i].has_version)
			events[i].expected = lines[i].version == 0 ? SIERRA_EXPECT_EMPTY : lines[i].version - 1;
	}
	return events;
}

/* The calls of an import share a transaction, which keeps the tag locks of all of them. */
bool
sierra_import_needs_store(SierraLineEvent *lines, int count)
{
	SierraNewEvent *events = events_of(lines, count);
	bool needs = sierra_tag_locks_call_needs_store(events, count, NULL);

	pfree(events);
	return needs;
}

/* A repeated append returns the numbers that the events have, whatever it expects. */
static void
check_versions(const SierraLineEvent *lines, const SierraAppendResult *results, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (!lines[i].has_version || lines[i].version == results[i].stream_version)
			continue;
		ereport(ERROR, errcode(ERRCODE_UNIQUE_VIOLATION),
				errmsg("event %s is stored with another version",
					   sierra_uuid_text(&lines[i].event.event_id)),
				errdetail("Stream \"%s\" has it at version %lld, the line at %lld.",
						  text_to_cstring(lines[i].event.stream_id),
						  (long long) results[i].stream_version, (long long) lines[i].version),
				errhint("Compare both stores with event_hashes(); leave out \"stream_version\" to "
						"keep events where they are."));
	}
}

/* Returns how many events of a call were new. */
static int
append_call(const SierraStore *store, SierraLineEvent *lines, int count)
{
	SierraNewEvent *events = events_of(lines, count);
	SierraAppendResult *results = palloc(sizeof(SierraAppendResult) * count);
	SierraRefusal refusal;
	SierraAppendStatus status;
	int added = 0;

	status = sierra_append_with_id(store, key_of(lines), events, count, NULL,
								   lines->has_transaction ? &lines->transaction_id : NULL, results,
								   &refusal);
	if (status == SIERRA_APPEND_DUPLICATE_EVENT && count > 1)
	{
		for (int i = 0; i < count; i++)
			added += append_call(store, &lines[i], 1);
		return added;
	}
	sierra_refusal_report(status, &refusal);
	check_versions(lines, results, count);
	return status == SIERRA_APPEND_DONE ? count : 0;
}

void
sierra_import_context(void *arg)
{
	errcontext("import of line %lld", (long long) *(int64 *) arg);
}

int64
sierra_import(const SierraStore *store, SierraLineEvent *lines, int64 number, int count)
{
	int first = 0;
	ErrorContextCallback context = {
		.previous = error_context_stack, .callback = sierra_import_context, .arg = &number};
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "sierra_es import", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	int64 added = 0;

	error_context_stack = &context;
	while (first < count)
	{
		int length = length_of_call(&lines[first], count - first);

		CHECK_FOR_INTERRUPTS();
		added += append_call(store, &lines[first], length);
		MemoryContextReset(memory);
		sierra_progress_add(length);
		first += length;
		number += length;
	}
	error_context_stack = context.previous;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	return added;
}
