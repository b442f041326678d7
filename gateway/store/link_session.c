/*
 * link_session.c
 *		A link's conversation with PostgreSQL: sets the session up, sends requests in pipeline
 *		mode, and hands out their results.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/settings.h"
#include "store/event.h"
#include "store/link_internal.h"
#include "store/role.h"

/* ---- sending ---- */

static void on_socket(evutil_socket_t fd, short what, void *arg);

static void
watch_socket(StoreLink *link, bool wants_write)
{
	if (link->socket != NULL && link->waits_to_write == wants_write)
		return;
	if (link->socket != NULL)
		event_free(link->socket);
	link->waits_to_write = wants_write;
	link->socket = event_new(store_base(), PQsocket(link->connection),
							 EV_READ | EV_PERSIST | (wants_write ? EV_WRITE : 0), on_socket, link);
	if (link->socket == NULL || event_add(link->socket, NULL) != 0)
		abort();
}

static bool
flush(StoreLink *link)
{
	int left = PQflush(link->connection);

	if (left < 0)
		return false;
	watch_socket(link, left > 0);
	return true;
}

/* The statement's text, with the schema of the extension. */
static char *
write_sql(const StoreLink *link, const char *sql)
{
	size_t schema = strlen(link->schema);
	size_t size = strlen(sql) + 1;
	char *text;
	char *to;

	for (const char *c = sql; *c != '\0'; c++)
		if (*c == '@')
			size += schema;
	text = to = mem_alloc(size);
	for (const char *c = sql; *c != '\0'; c++)
		if (*c == '@')
		{
			memcpy(to, link->schema, schema);
			to += schema;
		}
		else
			*to++ = *c;
	*to = '\0';
	return text;
}

static bool
is_prepared(const StoreLink *link, const StoreStatement *statement)
{
	for (int i = 0; i < link->prepared_count; i++)
		if (link->prepared[i] == statement)
			return true;
	return false;
}

static bool
prepare(StoreLink *link, const StoreStatement *statement)
{
	char *sql = write_sql(link, statement->sql);
	int sent = PQsendPrepare(link->connection, statement->name, sql, 0, NULL);

	free(sql);
	if (link->prepared_count == MAX_PREPARED)
		abort();
	link->prepared[link->prepared_count++] = statement;
	return sent;
}

/* A statement whose preparation failed is not there; the next request tries again. */
static void
forget_prepared(StoreLink *link, const StoreStatement *statement)
{
	for (int i = 0; i < link->prepared_count; i++)
		if (link->prepared[i] == statement)
			link->prepared[i--] = link->prepared[--link->prepared_count];
}

/* Only for the request whose results come next, and before the first of them. */
static void
expect_rows(StoreLink *link)
{
	const StoreRequest *request = link->sent.first;

	/* if libpq refuses, the rows come together: more memory, the same rows */
	if (request != NULL && request->row_by_row && !request->prepares)
		(void) PQsetSingleRowMode(link->connection);
}

bool
link_send_request(StoreLink *link, StoreRequest *request)
{
	StoreParameters *parameters = &request->parameters;
	const char *values[STORE_MAX_PARAMETERS];
	int formats[STORE_MAX_PARAMETERS];

	if (request->build != NULL)
		request->build(request, &link->facts);
	request->has_begun = false;
	request->prepares = !is_prepared(link, request->statement);
	if (request->prepares && !prepare(link, request->statement))
		return false;
	for (int i = 0; i < parameters->count; i++)
	{
		values[i] = parameters->lengths[i] < 0 ? NULL : parameters->data + parameters->offsets[i];
		formats[i] = 1;
	}
	if (!PQsendQueryPrepared(link->connection, request->statement->name, parameters->count, values,
							 parameters->lengths, formats, 1))
		return false;
	/* libpq has its own copy now */
	if (request->build != NULL)
		parameters_free(parameters);
	if (link->sent.first == request)
		expect_rows(link);
	return PQpipelineSync(link->connection) && flush(link);
}

/* ---- results ---- */

/*
 * After these, the session ends, or is of no use: the server shuts down, or is a standby that
 * has been a primary.
 */
static bool
ends_session(const char *sqlstate)
{
	return strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0;
}

/*
 * Types, functions and the store itself may have been dropped and made again, while the session
 * knows those that were there before: a new session learns what is there now.  Not more than one a
 * second, because these errors can also come from triggers.
 */
static bool
shows_change(const StoreLink *link, const char *sqlstate)
{
	static const char *const changes[] = {"42883", "42704", "42P01", "3F000",
										  "0A000", "XX000", "SE005"};

	if (clock_usecs() - link->facts.learned_at < 1000000)
		return false;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (strcmp(sqlstate, changes[i]) == 0)
			return true;
	return false;
}

static void
take_rows(StoreRequest *request, const PGresult *result)
{
	if (request->is_cancelled)
		return;
	if (!request->has_begun && request->begin != NULL)
		request->begin(request);
	request->has_begun = true;
	for (int row = 0; request->row != NULL && row < PQntuples(result); row++)
		request->row(request, result, row);
}

/* PostgreSQL is ready for the next request: this one's transaction has ended. */
static void
end_first(StoreLink *link)
{
	StoreRequest *request = link->sent.first;
	PGresult *result = request->error;
	StoreError error;
	bool lost_primary = false;

	link->sent.first = request->next;
	if (link->sent.first == NULL)
		link->sent.last = NULL;
	request->error = NULL;
	if (result != NULL)
	{
		store_error_of_result(result, &error);
		lost_primary = strcmp(error.sqlstate, "25006") == 0;
		if (shows_change(link, error.sqlstate))
			link->is_stale = true;
		if (request->prepares)
			forget_prepared(link, request->statement);
	}
	link_end_request(link, request, result != NULL ? &error : NULL);
	PQclear(result);
	if (lost_primary && link->connection != NULL)
		link_lose(link, "25006", "the server is read-only now; looking for the one that is not");
	else
		link_renew(link);
}

/* Answers to the questions of link_setup_session(), in their order. */
static void
take_setup(StoreLink *link, const PGresult *result)
{
	const char *schema;

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQnfields(result) < 2)
		return;
	if (PQntuples(result) == 0)
		return;
	schema = PQgetvalue(result, 0, 0);
	free(link->schema);
	link->schema = mem_text(schema);
	link->facts.partitions = atoi(PQgetvalue(result, 0, 1));
	link->facts.expected_version_type = (uint32_t) strtoul(PQgetvalue(result, 0, 2), NULL, 10);
	link->facts.json_type = (uint32_t) strtoul(PQgetvalue(result, 0, 3), NULL, 10);
	link->facts.in_recovery = PQgetvalue(result, 0, 4)[0] == 't';
	link->facts.sessions++;
	link->has_facts = true;
	link->facts.learned_at = clock_usecs();
	link->setup_answers = 0;
}

/* False if the link was lost.  A result that is kept for later is NULL afterwards. */
static bool
take_result(StoreLink *link, PGresult **taken)
{
	PGresult *result = *taken;
	ExecStatusType status = PQresultStatus(result);
	StoreRequest *request = link->sent.first;
	StoreError error;

	if (status == PGRES_FATAL_ERROR)
	{
		store_error_of_result(result, &error);
		if (link->state != LINK_READY || ends_session(error.sqlstate) ||
			PQstatus(link->connection) == CONNECTION_BAD || request == NULL)
		{
			link_lose(link, error.sqlstate, error.message);
			return false;
		}
		PQclear(request->error);
		request->error = result;
		*taken = NULL;
		return true;
	}
	if (link->state != LINK_READY)
	{
		take_setup(link, result);
		if (status != PGRES_PIPELINE_SYNC)
			return true;
		if (link->setup_answers > 0)
		{
			link_lose(link, "SE005", "extension sierra_es is not installed in the database");
			return false;
		}
		link_is_ready(link);
	}
	else if (status == PGRES_PIPELINE_SYNC)
		end_first(link);
	else if (request != NULL && (status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE))
		take_rows(request, result);
	return link->connection != NULL;
}

/* Takes all results that have arrived. */
static void
take_results(StoreLink *link)
{
	int ends = 0;

	/* what is called here may send, and come back */
	if (link->is_reading)
		return;
	link->is_reading = true;
	while (link->connection != NULL && ends < 2 && !PQisBusy(link->connection))
	{
		PGresult *result = PQgetResult(link->connection);
		bool is_sync;

		if (result == NULL)
		{
			/* the end of the results of a statement; two such ends: there are no more */
			ends++;
			if (link->state == LINK_READY && link->sent.first != NULL)
			{
				/* that was the end of its preparation, unless it failed */
				if (link->sent.first->error == NULL)
					link->sent.first->prepares = false;
				expect_rows(link);
			}
			continue;
		}
		ends = 0;
		is_sync = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		if (take_result(link, &result) && is_sync)
			expect_rows(link);
		PQclear(result);
	}
	link->is_reading = false;
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	StoreLink *link = arg;

	(void) fd;
	if ((what & EV_READ) && !PQconsumeInput(link->connection))
	{
		/* an error of the server may have arrived before the end */
		take_results(link);
		if (link->connection != NULL)
			link_lose(link, "08006", PQerrorMessage(link->connection));
		return;
	}
	take_results(link);
	if (link->connection != NULL && !flush(link))
		link_lose(link, "08006", PQerrorMessage(link->connection));
}

/* ---- the session ---- */

/* The second question: where the extension is, and what its store is like. */
static const char about_store[] =
	"SELECT pg_catalog.quote_ident(n.nspname) || '.',"
	" sierra_internal.partition_count(sierra_internal.require_store()),"
	" (SELECT t.oid FROM pg_catalog.pg_type AS t"
	"   WHERE t.typnamespace = n.oid AND t.typname = 'expected_version'),"
	" (SELECT t.oid FROM pg_catalog.pg_type AS t"
	"   WHERE t.typnamespace = n.oid AND t.typname = 'sierra_json'),"
	" pg_catalog.pg_is_in_recovery()"
	" FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace"
	" WHERE e.extname = 'sierra_es'";

void
link_setup_session(StoreLink *link)
{
	const char *store = settings.store;
	PGconn *connection = link->connection;

	link->setup_answers = 1;
	PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
	/* metadata that PostgreSQL adds would not be what the client has sent */
	if (PQsetnonblocking(connection, 1) != 0 || !PQenterPipelineMode(connection) ||
		!PQsendQueryParams(connection,
						   "SELECT pg_catalog.set_config('sierra_es.metadata', '', false)", 0, NULL,
						   NULL, NULL, NULL, 0) ||
		(store[0] != '\0' &&
		 !PQsendQueryParams(connection,
							"SELECT pg_catalog.set_config('sierra_es.store', $1, false)", 1, NULL,
							&store, NULL, NULL, 0)) ||
		!PQsendQueryParams(connection, about_store, 0, NULL, NULL, NULL, NULL, 0) ||
		!PQpipelineSync(connection) || !flush(link))
		link_lose(link, "08006", PQerrorMessage(connection));
}
