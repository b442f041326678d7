/*
 * scan.c
 *		ESCAN and EPSCAN: events of a stream or of a partition.
 *
 * A scan reads pages, so that a long one leaves room for the reads of others on the same
 * connection, takes little memory, and ends when nobody waits for it.  A page is a pack (pack.h),
 * which says whether there is more.
 */
#include <stdlib.h>

#include "base/counters.h"
#include "base/memory.h"
#include "command/arguments.h"
#include "command/command.h"
#include "command/event_reply.h"
#include "command/failure.h"
#include "command/partition_parameters.h"
#include "store/pack.h"

#define DEFAULT_COUNT 100
#define PAGE_EVENTS 1000
/* A page ends with the event that makes it larger. */
#define PAGE_BYTES (1024 * 1024)

static const StoreStatement escan_statement = {
	"scan", "SELECT sierra_internal.escan_packed($1, $2, $3, $4, false, $5)"};
static const StoreStatement epscan_statement = {
	"scan_partition", "SELECT sierra_internal.epscan_packed($1, $3, $4, $5, false, $2, $6)"};

typedef struct Scan
{
	Call *call;
	StoreRequest request;
	/* of one of the two */
	const Word *stream;
	PartitionArgument partition;
	Range range;
	/* events that may still be answered */
	int64_t left;
	/* events of the pages that are complete, and of the one that is being read */
	Reply events;
	int64_t count;
	size_t page_begin;
	int64_t page_count;
	/* of the last event of the page */
	int64_t last;
	bool has_more;
	bool is_too_large;
	bool is_damaged;
} Scan;

static void
free_scan(Scan *scan)
{
	reply_discard(&scan->events);
	parameters_free(&scan->request.parameters);
	free(scan);
}

static void
answer(Scan *scan)
{
	Call *call = scan->call;
	bool is_tutorial = call->client->dialect == DIALECT_TUTORIAL;
	Reply reply;

	counters.read_events += (uint64_t) scan->count;
	call_begin(call, &reply);
	if (!is_tutorial)
	{
		reply_map(&reply, 2);
		reply_key(&reply, "has_more");
		reply_boolean(&reply, scan->has_more);
		reply_key(&reply, "events");
	}
	reply_array(&reply, scan->count);
	reply_collected(&reply, &scan->events);
	call_end(call, &reply);
	free_scan(scan);
}

/* The page is read again after a lost connection. */
static void
begin_page(StoreRequest *request)
{
	Scan *scan = request->arg;

	reply_filled(&scan->events, scan->events.data + scan->page_begin);
	scan->page_count = 0;
	scan->has_more = false;
	scan->is_damaged = true;
}

static void
take_page(StoreRequest *request, const PGresult *result, int row)
{
	Scan *scan = request->arg;
	bool is_tutorial = scan->call->client->dialect == DIALECT_TUTORIAL;
	StorePack pack;
	StoreEvent event;

	pack_begin(&pack, PQgetvalue(result, row, 0), (size_t) PQgetlength(result, row, 0));
	while (!scan->is_too_large && pack_next(&pack, &event))
	{
		scan->last = scan->stream != NULL ? event.stream_version : event.partition_sequence;
		if (is_tutorial)
			event_reply_array(&scan->events, &event);
		else
			event_reply_map(&scan->events, &event);
		scan->page_count++;
		scan->is_too_large = scan->events.used > (size_t) settings.output_limit;
	}
	pack_end(&pack);
	scan->has_more = pack.has_more;
	scan->is_damaged = pack.is_damaged;
}

static void read_page(Scan *scan);

static void
end_page(StoreRequest *request, const StoreError *error)
{
	Scan *scan = request->arg;
	Call *call = scan->call;

	parameters_free(&request->parameters);
	if (error != NULL)
	{
		call_store_error(call, error);
		free_scan(scan);
		return;
	}
	if (scan->is_too_large)
	{
		call_error(call,
				   "ERR the reply is larger than %lld bytes (output_limit): ask for fewer events "
				   "with COUNT",
				   (long long) settings.output_limit);
		free_scan(scan);
		return;
	}
	if (scan->is_damaged)
	{
		call_error(call, "ERR the store has answered with events that cannot be read");
		free_scan(scan);
		return;
	}
	scan->page_begin = scan->events.used;
	scan->count += scan->page_count;
	scan->left -= scan->page_count;
	if (!scan->has_more || scan->left == 0 || call->client->connection == NULL)
	{
		answer(scan);
		return;
	}
	scan->range.from = scan->last + 1;
	read_page(scan);
}

static void
read_page(Scan *scan)
{
	const Client *client = scan->call->client;
	StoreParameters *parameters = &scan->request.parameters;

	if (scan->stream != NULL)
		parameter_bytes(parameters, scan->stream->data, scan->stream->length);
	else
		partition_parameters(&scan->partition, parameters);
	parameter_int8(parameters, scan->range.from);
	if (scan->range.to < 0)
		parameter_null(parameters);
	else
		parameter_int8(parameters, scan->range.to);
	parameter_int8(parameters, scan->left < PAGE_EVENTS ? scan->left : PAGE_EVENTS);
	parameter_int4(parameters, PAGE_BYTES);
	counters.reads++;
	link_send(store_reader(client->role, client->id), &scan->request);
}

static Scan *
create_scan(Call *call, const StoreStatement *statement)
{
	Scan *scan = mem_zero(sizeof(Scan));

	scan->call = call;
	reply_collect(&scan->events, call->client->protocol);
	/* the tutorial's replies cannot say that there is more, so they leave nothing out */
	scan->left = call->client->dialect == DIALECT_TUTORIAL ? INT64_MAX : DEFAULT_COUNT;
	scan->request.statement = statement;
	scan->request.arg = scan;
	scan->request.begin = begin_page;
	scan->request.row = take_page;
	scan->request.done = end_page;
	return scan;
}

/* PARTITION_KEY of a stream, and COUNT, in any order. */
static bool
take_options(Arguments *arguments, Scan *scan)
{
	bool has_key = false;
	bool has_count = false;
	Uuid key;

	while (!arguments_at_end(arguments))
	{
		if (scan->stream != NULL && argument_keyword(arguments, "PARTITION_KEY"))
		{
			if (has_key)
				return argument_fail(arguments, "partition key already specified");
			has_key = true;
			/* a stream has one key, so its name is enough */
			if (!argument_key(arguments, &key))
				return false;
		}
		else if (argument_keyword(arguments, "COUNT"))
		{
			if (has_count)
				return argument_fail(arguments, "count already specified");
			has_count = true;
			if (!argument_number(arguments, "count", &scan->left))
				return false;
		}
		else
			return argument_fail(arguments, "unexpected string: expected %sCOUNT or end of input",
								 scan->stream != NULL ? "PARTITION_KEY, " : "");
	}
	return true;
}

static void
run_scan(Call *call, bool of_stream)
{
	Scan *scan = create_scan(call, of_stream ? &escan_statement : &epscan_statement);
	ArgumentError error;
	Arguments arguments = {.request = call->request, .at = 1, .error = &error};
	bool good;

	good = of_stream ? argument_stream(&arguments, &scan->stream)
					 : argument_partition(&arguments, &scan->partition);
	if (good &&
		argument_range(&arguments, call->client->dialect, of_stream ? "version" : "sequence",
					   &scan->range) &&
		take_options(&arguments, scan))
	{
		if (!of_stream && !partition_is_there(call, &scan->partition))
		{
			free_scan(scan);
			call_error(call, "CLUSTERDOWN partition unavailable");
		}
		else if (scan->range.is_empty)
			answer(scan);
		else
			read_page(scan);
		return;
	}
	free_scan(scan);
	call_error(call, "%s", error.text);
}

static void
run_escan(Call *call)
{
	run_scan(call, true);
}

static void
run_epscan(Call *call)
{
	run_scan(call, false);
}

const Command scan_commands[] = {
	{1, -1, false, {"ESCAN", CALL_READ, run_escan}},
	{1, -1, false, {"EPSCAN", CALL_READ, run_epscan}},
	{0},
};
