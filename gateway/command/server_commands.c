/*
 * server_commands.c
 *		Commands that Redis clients send to learn about a server.
 */
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/text.h"
#include "command/command.h"
#include "command/info_cache.h"

static void
add_server_section(struct evbuffer *text)
{
	int64_t uptime = (clock_usecs() - counters.started_at) / 1000000;

	evbuffer_add_printf(text,
						"# Server\r\nredis_version:7.0.0\r\nserver_name:sierra_gateway\r\n"
						"sierradb_version:%s\r\nredis_mode:standalone\r\nprocess_supervised:no\r\n"
						"uptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\n\r\n",
						SIERRA_VERSION, (long long) uptime, (long long) uptime / 86400);
}

static void
add_clients_section(struct evbuffer *text)
{
	evbuffer_add_printf(text, "# Clients\r\nconnected_clients:%d\r\nmaxclients:%d\r\n\r\n",
						client_count(), settings.max_clients);
}

static void
add_persistence_section(struct evbuffer *text)
{
	/* ioredis sends nothing before it has read this */
	evbuffer_add_printf(text, "# Persistence\r\nloading:0\r\n\r\n");
}

static void
add_stats_section(struct evbuffer *text)
{
	evbuffer_add_printf(
		text,
		"# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
		"rejected_connections:%llu\r\ntotal_error_replies:%llu\r\n"
		"appends:%llu\r\nappended_events:%llu\r\nbatches:%llu\r\nread_events:%llu\r\n\r\n",
		(unsigned long long) counters.connections, (unsigned long long) counters.commands,
		(unsigned long long) counters.rejected_connections, (unsigned long long) counters.errors,
		(unsigned long long) counters.appends, (unsigned long long) counters.appended_events,
		(unsigned long long) counters.batches, (unsigned long long) counters.read_events);
}

static void
add_replication_section(struct evbuffer *text, const Client *client)
{
	const StoreFacts *facts = store_role_facts(client->role);

	evbuffer_add_printf(text, "# Replication\r\nrole:%s\r\n\r\n",
						facts != NULL && facts->in_recovery ? "slave" : "master");
}

/* No words behind INFO, or this section, or one of those that mean all. */
static bool
wants(const Call *call, const char *section)
{
	static const char *const all[] = {"ALL", "DEFAULT", "EVERYTHING"};
	const Request *request = call->request;

	if (request->count == 1)
		return true;
	for (int i = 1; i < request->count; i++)
	{
		const Word *word = &request->words[i];

		if (text_is_word(word->data, word->length, section))
			return true;
		for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++)
			if (text_is_word(word->data, word->length, all[j]))
				return true;
	}
	return false;
}

static void
run_info(Call *call)
{
	const Request *request = call->request;
	struct evbuffer *text;
	Reply reply;
	size_t length;

	/* SierraDB's own INFO */
	if (request->count == 2 &&
		text_is_word(request->words[1].data, request->words[1].length, "CACHE"))
	{
		run_info_cache(call);
		return;
	}
	text = evbuffer_new();

	if (wants(call, "SERVER"))
		add_server_section(text);
	if (wants(call, "CLIENTS"))
		add_clients_section(text);
	if (wants(call, "PERSISTENCE"))
		add_persistence_section(text);
	if (wants(call, "STATS"))
		add_stats_section(text);
	if (wants(call, "REPLICATION"))
		add_replication_section(text, call->client);
	length = evbuffer_get_length(text);
	call_begin(call, &reply);
	reply_bulk(&reply, length > 0 ? (const char *) evbuffer_pullup(text, -1) : "", length);
	call_end(call, &reply);
	evbuffer_free(text);
}

/* redis-cli asks COMMAND DOCS, redis-benchmark CONFIG GET: nothing here is described that way. */
static void
run_command(Call *call)
{
	const Request *request = call->request;
	bool is_docs = request->count > 1 &&
				   text_is_word(request->words[1].data, request->words[1].length, "DOCS");
	bool is_count = request->count > 1 &&
					text_is_word(request->words[1].data, request->words[1].length, "COUNT");
	Reply reply;

	call_begin(call, &reply);
	if (is_docs)
		reply_map(&reply, 0);
	else if (is_count)
		reply_integer(&reply, 0);
	else
		reply_array(&reply, 0);
	call_end(call, &reply);
}

static void
run_config(Call *call)
{
	const Word *word = &call->request->words[1];
	char text[60];
	Reply reply;

	if (!text_is_word(word->data, word->length, "GET"))
	{
		call_error(call, "ERR unknown subcommand '%s'",
				   text_printable(word->data, word->length, text, sizeof(text)));
		return;
	}
	call_begin(call, &reply);
	reply_map(&reply, 0);
	call_end(call, &reply);
}

static void
run_transaction(Call *call)
{
	call_error(call,
			   "ERR transactions are not supported: EMAPPEND appends several events together; in "
			   "redis-py use pipeline(transaction=False)");
}

const Command server_commands[] = {
	{1, -1, false, {"INFO", CALL_LOCAL, run_info}},
	{1, -1, false, {"COMMAND", CALL_LOCAL, run_command}},
	{2, -1, false, {"CONFIG", CALL_LOCAL, run_config}},
	{1, 1, false, {"MULTI", CALL_LOCAL, run_transaction}},
	{1, 1, false, {"EXEC", CALL_LOCAL, run_transaction}},
	{1, 1, false, {"DISCARD", CALL_LOCAL, run_transaction}},
	{2, -1, false, {"WATCH", CALL_LOCAL, run_transaction}},
	{0},
};
