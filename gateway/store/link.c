#include "store/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "store/connect.h"
#include "store/link_internal.h"
#include "store/role.h"

/* Between attempts to connect: twice as long each time. */
#define FIRST_PAUSE_MSECS 50
#define LAST_PAUSE_MSECS 1000

/* A connection that is made for the first time gets at least this. */
#define FIRST_CONNECT_MSECS 5000

static void connect_now(StoreLink *link);

/* ---- queues ---- */

static void
append_to(RequestQueue *queue, StoreRequest *request)
{
	request->next = NULL;
	if (queue->last != NULL)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static StoreRequest *
take_first(RequestQueue *queue)
{
	StoreRequest *request = queue->first;

	queue->first = request->next;
	if (queue->first == NULL)
		queue->last = NULL;
	return request;
}

/* ---- the end of a request ---- */

void
link_end_request(StoreLink *link, StoreRequest *request, const StoreError *error)
{
	link->load--;
	PQclear(request->error);
	request->error = NULL;
	if (request->is_cancelled)
	{
		parameters_free(&request->parameters);
		free(request);
	}
	else
		request->done(request, error);
}

/* Fails the waiting requests whose time is over, or all. */
static void
expire(StoreLink *link, bool all)
{
	int64_t now = clock_usecs();
	RequestQueue kept = {NULL, NULL};
	RequestQueue over = {NULL, NULL};

	while (link->waiting.first != NULL)
	{
		StoreRequest *request = take_first(&link->waiting);

		append_to(all || request->deadline <= now || request->is_cancelled ? &over : &kept,
				  request);
	}
	link->waiting = kept;
	/* done() may send new requests */
	while (over.first != NULL)
	{
		StoreRequest *request = take_first(&over);
		StoreError error = {request->was_sent && request->writes ? STORE_UNKNOWN : STORE_DOWN,
							"",
							"",
							"",
							"",
							"",
							""};

		snprintf(error.sqlstate, sizeof(error.sqlstate), "%s", link->last_sqlstate);
		error.message = link->last_message;
		link_end_request(link, request, &error);
	}
}

/* ---- loss and return of the connection ---- */

static void
set_timer(struct event *timer, int64_t msecs)
{
	struct timeval wait = {msecs / 1000, msecs % 1000 * 1000};

	evtimer_add(timer, &wait);
}

/* While the connection is lost, requests fail when their time is over. */
static void
watch_deadline(StoreLink *link, const StoreRequest *request)
{
	int64_t left = request->deadline - clock_usecs();

	if (evtimer_pending(link->deadline_timer, NULL) && link->next_deadline <= request->deadline)
		return;
	link->next_deadline = request->deadline;
	set_timer(link->deadline_timer, left > 0 ? left / 1000 + 1 : 0);
}

static void
watch_deadlines(StoreLink *link)
{
	for (StoreRequest *request = link->waiting.first; request != NULL; request = request->next)
		watch_deadline(link, request);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	StoreLink *link = arg;

	(void) fd;
	(void) what;
	if (link->state == LINK_READY)
		return;
	expire(link, false);
	watch_deadlines(link);
}

static void
close_connection(StoreLink *link)
{
	connect_cancel(link->connecting);
	link->connecting = NULL;
	if (link->socket != NULL)
		event_free(link->socket);
	link->socket = NULL;
	PQfinish(link->connection);
	link->connection = NULL;
	link->prepared_count = 0;
	link->is_stale = false;
	link->state = LINK_RESTING;
}

/* Errors that waiting does not heal: clients hear of them at once. */
static bool
is_lasting(const char *sqlstate)
{
	static const char *const passing[] = {"57P", "08", "53", "25006"};

	if (sqlstate[0] == '\0')
		return false;
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
			return false;
	return true;
}

void
link_lose(StoreLink *link, const char *sqlstate, const char *message)
{
	RequestQueue again = {NULL, NULL};

	snprintf(link->last_sqlstate, sizeof(link->last_sqlstate), "%s", sqlstate);
	snprintf(link->last_message, sizeof(link->last_message), "%s", message);
	if (link->down_since == 0)
	{
		link->down_since = clock_usecs();
		counters.lost_links++;
		log_line(LOG_WARNING, "%s of %s: %s", link->name, store_role_name(link->role),
				 link->last_message);
	}
	close_connection(link);

	/* what was sent comes first again, in its order */
	while (link->sent.first != NULL)
	{
		StoreRequest *request = take_first(&link->sent);

		PQclear(request->error);
		request->error = NULL;
		append_to(&again, request);
	}
	while (link->waiting.first != NULL)
		append_to(&again, take_first(&link->waiting));
	link->waiting = again;

	link->state = LINK_PAUSING;
	set_timer(link->pause_timer, link->pause);
	link->pause = link->pause * 2 > LAST_PAUSE_MSECS ? LAST_PAUSE_MSECS : link->pause * 2;
	expire(link, is_lasting(sqlstate));
	watch_deadlines(link);
}

static void
on_connected(void *arg, PGconn *connection, const StoreError *error)
{
	StoreLink *link = arg;

	link->connecting = NULL;
	if (connection == NULL)
	{
		link_lose(link, error->sqlstate, error->message);
		return;
	}
	link->connection = connection;
	link_setup_session(link);
}

void
link_is_ready(StoreLink *link)
{
	if (link->down_since != 0)
		log_line(LOG_INFO, "%s of %s: connected again after %lld ms", link->name,
				 store_role_name(link->role),
				 (long long) (clock_usecs() - link->down_since) / 1000);
	link->state = LINK_READY;
	link->down_since = 0;
	link->pause = FIRST_PAUSE_MSECS;
	evtimer_del(link->deadline_timer);
	link_send_waiting(link);
}

/* Sends what waits, if the connection is there. */
void
link_send_waiting(StoreLink *link)
{
	while (link->state == LINK_READY && !link->is_stale && link->waiting.first != NULL)
	{
		StoreRequest *request = take_first(&link->waiting);

		if (request->is_cancelled)
		{
			link_end_request(link, request, NULL);
			continue;
		}
		append_to(&link->sent, request);
		request->was_sent = true;
		if (!link_send_request(link, request))
		{
			link_lose(link, "08006", PQerrorMessage(link->connection));
			return;
		}
	}
}

void
link_renew(StoreLink *link)
{
	if (!link->is_stale || link->sent.first != NULL)
		return;
	close_connection(link);
	if (link->waiting.first == NULL)
		return;
	connect_now(link);
	watch_deadlines(link);
}

static void
connect_now(StoreLink *link)
{
	link->state = LINK_CONNECTING;
	link->connecting = connect_start(store_role_user(link->role), store_role_password(link->role),
									 link->name, link->attempts++, on_connected, link);
}

static void
on_pause_end(evutil_socket_t fd, short what, void *arg)
{
	StoreLink *link = arg;

	(void) fd;
	(void) what;
	if (link->state != LINK_PAUSING)
		return;
	/* nobody waits: the next request connects */
	if (link->waiting.first == NULL)
		link->state = LINK_RESTING;
	else
		connect_now(link);
}

/* ---- what others call ---- */

StoreLink *
link_create(StoreRole *role, const char *name)
{
	StoreLink *link = mem_zero(sizeof(StoreLink));

	link->role = role;
	snprintf(link->name, sizeof(link->name), "sierra_gateway %s", name);
	link->pause = FIRST_PAUSE_MSECS;
	link->pause_timer = evtimer_new(store_base(), on_pause_end, link);
	link->deadline_timer = evtimer_new(store_base(), on_deadline, link);
	return link;
}

void
link_destroy(StoreLink *link)
{
	if (link == NULL)
		return;
	close_connection(link);
	event_free(link->pause_timer);
	event_free(link->deadline_timer);
	while (link->sent.first != NULL)
		append_to(&link->waiting, take_first(&link->sent));
	snprintf(link->last_message, sizeof(link->last_message), "the role has been closed");
	expire(link, true);
	free(link->schema);
	free(link);
}

void
link_send(StoreLink *link, StoreRequest *request)
{
	int64_t now = clock_usecs();
	int64_t patience = settings.retry_time * INT64_C(1000);
	int64_t least = FIRST_CONNECT_MSECS * INT64_C(1000);
	bool is_pausing = link->state == LINK_PAUSING;

	request->was_sent = false;
	request->is_cancelled = false;
	request->error = NULL;
	/* nothing is wrong yet: connecting needs its time too */
	request->deadline = now + (link->down_since == 0 && patience < least ? least : patience);
	link->load++;
	append_to(&link->waiting, request);
	if (link->state == LINK_READY)
		link_send_waiting(link);
	else if (link->state == LINK_RESTING)
	{
		/* the connection begins later in this turn of the loop, so done() cannot be called yet */
		link->state = LINK_PAUSING;
		event_active(link->pause_timer, EV_TIMEOUT, 0);
	}
	if (link->state == LINK_READY)
		return;
	if (link->down_since != 0 && now - link->down_since > patience)
	{
		/* a server that has been away for long: the attempt that is under way decides, or the last
		 * one */
		request->deadline = now;
		if (!is_pausing)
			return;
	}
	watch_deadline(link, request);
}

void
link_cancel(StoreLink *link, StoreRequest *request)
{
	(void) link;
	request->is_cancelled = true;
}

int
link_load(const StoreLink *link)
{
	return link->load;
}

void
link_rest(StoreLink *link)
{
	if (link->load == 0 && link->state == LINK_READY)
		close_connection(link);
}

void
link_wake(StoreLink *link)
{
	if (link->state == LINK_RESTING)
		connect_now(link);
}

bool
link_is_down(const StoreLink *link)
{
	return link->down_since != 0;
}

const StoreFacts *
link_facts(const StoreLink *link)
{
	return link->has_facts ? &link->facts : NULL;
}
