/*
 * call.c
 *		The calls of a client: which may run together, and the order of their replies.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "client/client_internal.h"

static Call *
append_call(Client *client)
{
	Call *call = mem_zero(sizeof(Call));

	call->client = client;
	call->arrived = clock_usecs();
	client->last_request_at = call->arrived;
	if (client->last_call != NULL)
		client->last_call->next = call;
	else
		client->first_call = call;
	client->last_call = call;
	if (client->waiting_call == NULL)
		client->waiting_call = call;
	client->calls++;
	client_hold(client);
	return call;
}

void
call_queue(Client *client, Request *request)
{
	Call *call = append_call(client);

	call->request = request;
	client->call_bytes += request->bytes;
	counters.commands++;
}

/* The type of calls whose reply was known when they came. */
static const CallType known_reply = {"", CALL_LOCAL, NULL};

void
call_queue_error(Client *client, const char *format, ...)
{
	Call *call = append_call(client);
	char text[256];
	va_list arguments;
	Reply reply;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	call->type = &known_reply;
	call->early = evbuffer_new();
	reply_begin(&reply, call->early, client->protocol);
	reply_error(&reply, "%s", text);
	reply_end(&reply);
	counters.errors++;
}

/* Frees a call that is not in the queue any more. */
static void
free_call(Call *call)
{
	Client *client = call->client;

	client->calls--;
	if (call->request != NULL)
		client->call_bytes -= call->request->bytes;
	request_free(call->request);
	if (call->early != NULL)
		evbuffer_free(call->early);
	free(call);
	client_release(client);
}

/* Sends the replies of calls that have ended, up to the first that has not. */
static void
send_replies(Client *client)
{
	while (client->first_call != NULL && client->first_call->is_ended)
	{
		Call *call = client->first_call;

		if (call->early != NULL && client->connection != NULL)
			evbuffer_add_buffer(bufferevent_get_output(client->connection), call->early);
		output_added(client);
		client->first_call = call->next;
		if (client->first_call == NULL)
			client->last_call = NULL;
		free_call(call);
	}
}

/*
 * Enough that no time is lost between two reads.  Each may have a reply of output_limit in memory,
 * so this is also a bound for one client's memory.
 */
#define MAX_RUNNING_READS 16

/* May the first waiting call run beside those that run? */
static bool
may_start(const Client *client, const Call *call)
{
	if (client->is_stalled)
		return false;
	if (client->running == 0)
		return true;
	if (call->type->kind == CALL_LOCAL || call->type->kind != client->running_kind)
		return false;
	return call->type->kind != CALL_READ || client->running < MAX_RUNNING_READS;
}

void
call_start_waiting(Client *client)
{
	client_hold(client);
	while (client->waiting_call != NULL)
	{
		Call *call = client->waiting_call;

		/* HELLO, AUTH, SELECT and their like decide what the commands behind them are */
		if (client->running > 0 && client->running_kind == CALL_LOCAL)
			break;
		if (call->type == NULL)
			call->type = client_find_command(client, call->request);
		if (!may_start(client, call))
			break;
		client->waiting_call = call->next;
		client->running_kind = call->type->kind;
		client->running++;
		call->is_started = true;
		if (call->type->run != NULL)
		{
			client->last_command = call->type->name;
			call->type->run(call);
		}
		else
		{
			client->running--;
			call->is_ended = true;
			send_replies(client);
		}
	}
	client_release(client);
}

void
call_drop_waiting(Client *client)
{
	Call *call = client->waiting_call;
	Call *started = NULL;

	/* they are the end of the queue */
	for (Call *at = client->first_call; at != call; at = at->next)
		started = at;
	if (started != NULL)
		started->next = NULL;
	else
		client->first_call = NULL;
	client->last_call = started;
	client->waiting_call = NULL;
	while (call != NULL)
	{
		Call *next = call->next;

		free_call(call);
		call = next;
	}
}

/* ---- replies ---- */

void
call_begin(Call *call, Reply *reply)
{
	Client *client = call->client;
	bool is_first = client->first_call == call && client->connection != NULL;

	if (!is_first && call->early == NULL)
		call->early = evbuffer_new();
	reply_begin(reply, is_first ? bufferevent_get_output(client->connection) : call->early,
				client->protocol);
}

static void
log_call(const Call *call)
{
	const Client *client = call->client;
	int64_t msecs = (clock_usecs() - call->arrived) / 1000;
	bool is_slow = settings.slow_time > 0 && msecs >= settings.slow_time;
	const Request *request = call->request;
	char object[80] = "";

	if (!log_wants(is_slow ? LOG_INFO : LOG_DEBUG))
		return;
	/* the word behind the name is a stream or an id; never that of AUTH and HELLO */
	if (call->type->kind != CALL_LOCAL && request != NULL && request->count > 1)
		text_printable(request->words[1].data, request->words[1].length, object, sizeof(object));
	log_line(is_slow ? LOG_INFO : LOG_DEBUG, "client %llu (%s) %s: %s%s%s took %lld ms%s%s",
			 (unsigned long long) client->id, client->address,
			 client->role != NULL ? store_role_name(client->role) : "-", call->type->name,
			 object[0] != '\0' ? " " : "", object, (long long) msecs,
			 call->outcome[0] != '\0' ? ", error " : "", call->outcome);
}

void
call_end(Call *call, Reply *reply)
{
	Client *client = call->client;

	reply_end(reply);
	log_call(call);
	call->is_ended = true;
	client->running--;
	client_hold(client);
	send_replies(client);
	client_pump(client);
	client_release(client);
}

void
call_error(Call *call, const char *format, ...)
{
	char text[1024];
	size_t code = 0;
	va_list arguments;
	Reply reply;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	while (text[code] != '\0' && text[code] != ' ' && code < sizeof(call->outcome) - 1)
		code++;
	memcpy(call->outcome, text, code);
	call->outcome[code] = '\0';
	counters.errors++;
	call_begin(call, &reply);
	reply_error(&reply, "%s", text);
	call_end(call, &reply);
}

void
call_ok(Call *call)
{
	Reply reply;

	call_begin(call, &reply);
	reply_simple(&reply, "OK");
	call_end(call, &reply);
}
