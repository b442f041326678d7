#include "store/connect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "store/hosts.h"

/* Unless the connection string has a connect_timeout. */
#define CONNECT_SECONDS 10

struct StoreConnect
{
	char *user;
	char *password;
	char *name;
	unsigned attempt;
	ConnectDone done;
	void *arg;
	HostLookup *lookup;
	PGconn *connection;
	struct event *socket;
	struct event *timer;
};

static struct event_base *base;
static struct evdns_base *resolver;

void
connect_setup(struct event_base *event_base, struct evdns_base *dns)
{
	base = event_base;
	resolver = dns;
}

/* The value of an option of the connection string, allocated, or NULL. */
static char *
find_option(const char *keyword)
{
	PQconninfoOption *options = PQconninfoParse(settings.database, NULL);
	char *found = NULL;

	for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
		if (strcmp(option->keyword, keyword) == 0 && option->val != NULL)
			found = mem_text(option->val);
	PQconninfoFree(options);
	return found;
}

char *
connect_default_user(void)
{
	char *user = find_option("user");
	PQconninfoOption *defaults;

	if (user != NULL)
		return user;
	defaults = PQconndefaults();
	for (PQconninfoOption *option = defaults; option != NULL && option->keyword != NULL; option++)
		if (strcmp(option->keyword, "user") == 0 && option->val != NULL)
			user = mem_text(option->val);
	PQconninfoFree(defaults);
	return user != NULL ? user : mem_text("default");
}

static void
free_connect(StoreConnect *connect)
{
	if (connect->socket != NULL)
		event_free(connect->socket);
	if (connect->timer != NULL)
		event_free(connect->timer);
	host_lookup_cancel(connect->lookup);
	PQfinish(connect->connection);
	free(connect->user);
	mem_free_secret(connect->password);
	free(connect->name);
	free(connect);
}

void
connect_cancel(StoreConnect *connect)
{
	if (connect != NULL)
		free_connect(connect);
}

/*
 * The message of a failed connection has the SQLSTATE in it, because it was asked to be verbose:
 * "FATAL:  28P01: password authentication failed for user ...".
 */
static void
find_sqlstate(const char *message, char *sqlstate)
{
	for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  "))
	{
		int length = 0;

		while (length < 5 &&
			   (isdigit((unsigned char) at[3 + length]) || isupper((unsigned char) at[3 + length])))
			length++;
		if (length == 5 && at[8] == ':')
		{
			memcpy(sqlstate, at + 3, 5);
			sqlstate[5] = '\0';
			return;
		}
	}
}

static void
fail(StoreConnect *connect, const char *message)
{
	StoreError error = {STORE_DOWN, "", "", "", "", "", ""};
	char text[400];
	char *line_end;

	snprintf(text, sizeof(text), "%s", message);
	find_sqlstate(text, error.sqlstate);
	/* the lines behind the first say where in the server's source it happened */
	line_end = strchr(text, '\n');
	if (line_end != NULL && error.sqlstate[0] != '\0')
		*line_end = '\0';
	error.message = text;
	connect->done(connect->arg, NULL, &error);
	free_connect(connect);
}

static void
succeed(StoreConnect *connect)
{
	PGconn *connection = connect->connection;

	connect->connection = NULL;
	connect->done(connect->arg, connection, NULL);
	free_connect(connect);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	fail(arg, "timeout expired");
}

static void on_socket(evutil_socket_t fd, short what, void *arg);

/* Waits for what libpq wants; its socket may be another one each time. */
static void
wait_for(StoreConnect *connect, short what)
{
	if (connect->socket != NULL)
		event_free(connect->socket);
	connect->socket = event_new(base, PQsocket(connect->connection), what, on_socket, connect);
	if (connect->socket == NULL || event_add(connect->socket, NULL) != 0)
		fail(connect, "could not watch the socket of the connection");
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	StoreConnect *connect = arg;

	(void) fd;
	(void) what;
	/* libpq may close the socket, which must not be watched then */
	event_free(connect->socket);
	connect->socket = NULL;
	switch (PQconnectPoll(connect->connection))
	{
		case PGRES_POLLING_READING:
			wait_for(connect, EV_READ);
			break;
		case PGRES_POLLING_WRITING:
			wait_for(connect, EV_WRITE);
			break;
		case PGRES_POLLING_OK:
			succeed(connect);
			break;
		default:
			fail(connect, PQerrorMessage(connect->connection));
			break;
	}
}

/* Left alone, libpq prints what the server remarks. */
static void
take_notice(void *arg, const char *message)
{
	(void) arg;
	log_line(LOG_DEBUG, "PostgreSQL: %s", message);
}

/*
 * Keywords before the connection string are defaults, those behind it replace what it says; empty
 * values count as none.  A server that is gone without a word is noticed after half a minute, and
 * Kerberos, for which libpq waits, is off.
 */
static void
connect_to(void *arg, const HostList *hosts, const char *error)
{
	StoreConnect *connect = arg;
	const char *keywords[] = {"gssencmode",
							  "keepalives_idle",
							  "keepalives_interval",
							  "keepalives_count",
							  "tcp_user_timeout",
							  "dbname",
							  "host",
							  "hostaddr",
							  "port",
							  "user",
							  "password",
							  "application_name",
							  "client_encoding",
							  NULL};
	const char *values[14] = {"disable", "15", "5", "3", "30000", settings.database};

	connect->lookup = NULL;
	if (error != NULL)
	{
		fail(connect, error);
		return;
	}
	values[6] = hosts->names;
	values[7] = hosts->addresses;
	values[8] = hosts->ports;
	values[9] = connect->user;
	values[10] = connect->password;
	values[11] = connect->name;
	values[12] = "UTF8";
	connect->connection = PQconnectStartParams(keywords, values, 1);
	if (connect->connection == NULL)
		fail(connect, "out of memory");
	else if (PQstatus(connect->connection) == CONNECTION_BAD)
		fail(connect, PQerrorMessage(connect->connection));
	else
	{
		PQsetErrorVerbosity(connect->connection, PQERRORS_VERBOSE);
		PQsetNoticeProcessor(connect->connection, take_notice, NULL);
		wait_for(connect, EV_WRITE);
	}
}

StoreConnect *
connect_start(const char *user, const char *password, const char *name, unsigned attempt,
			  ConnectDone done, void *arg)
{
	StoreConnect *connect = mem_zero(sizeof(StoreConnect));
	struct timeval limit = {CONNECT_SECONDS, 0};
	char *timeout = find_option("connect_timeout");

	if (timeout != NULL && atoi(timeout) > 0)
		limit.tv_sec = atoi(timeout);
	free(timeout);
	connect->user = user != NULL ? mem_text(user) : NULL;
	connect->password = password != NULL ? mem_text(password) : NULL;
	connect->name = mem_text(name);
	connect->attempt = attempt;
	connect->done = done;
	connect->arg = arg;
	connect->timer = evtimer_new(base, on_timeout, connect);
	evtimer_add(connect->timer, &limit);
	connect->lookup = host_lookup_start(base, resolver, attempt, connect_to, connect);
	return connect;
}
