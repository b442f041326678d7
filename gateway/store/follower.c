#include "store/follower.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "store/subscription.h"

#define PAGE_EVENTS 1000
#define PAGE_BYTES (1024 * 1024)

#define RETRY_USECS 1000000
/* When PostgreSQL does not let another session wait. */
#define POLL_USECS 20000
#define TOO_MANY_WAIT "53400"

/* A server that does not preload the library wakes nobody: there the session looks by itself. */
static const StoreStatement wait_statement = {
	"follower_wait", "SELECT @ewait_head($1, '5 s')"
					 " WHERE set_config('sierra_es.poll_interval', '20ms', true) IS NOT NULL"};

/* A store that was dropped and created again has another table of events. */
#define STORE_OID                                                                                  \
	"(SELECT pg_catalog.to_regclass(pg_catalog.format('%I.events',"                                \
	" sierra_internal.require_store()))::pg_catalog.oid)"

/*
 * Everything above a position, up to the horizon, and the horizon.  equery() reads to exactly
 * that horizon, also where horizons do not ascend.  If it is asked for, the id of an event that
 * was read before: a server that answers after a crash or a failover may have lost it.
 */
static const StoreStatement read_statement = {
	"follower_read",
	"WITH h AS MATERIALIZED (SELECT @ehead() AS head)"
	" SELECT " STORE_EVENT_COLUMNS ", head, page_place, CASE WHEN $4::int8 IS NOT NULL"
	" THEN (SELECT e.event_id FROM @equery('[{}]', $4 - 1, 1, false, $4) AS e) END"
	", is_last, " STORE_OID " FROM h LEFT JOIN LATERAL ("
	"SELECT e.*, row_number() OVER w AS page_place, lead(true) OVER w IS NULL AS is_last,"
	" sum(size) OVER w - size AS before FROM ("
	"SELECT e.*, " STORE_EVENT_SIZE " AS size FROM @equery('[{}]', $1, $2, false, h.head) AS e"
	") AS e WINDOW w AS (ROWS UNBOUNDED PRECEDING)) AS e ON true"
	" WHERE before IS NULL OR before < $3"};

/* The horizon, and the newest event up to there. */
static const StoreStatement head_statement = {
	"follower_head", "WITH h AS MATERIALIZED (SELECT @ehead() AS head)"
					 " SELECT head, coalesce(global_position, -1), event_id, " STORE_OID " FROM h"
					 " LEFT JOIN LATERAL @equery('[{}]', h.head + 1, 1, true) ON true"};

#define COLUMN_HEAD STORE_EVENT_COLUMN_COUNT
#define COLUMN_PAGE_PLACE (STORE_EVENT_COLUMN_COUNT + 1)
#define COLUMN_NEWEST_ID (STORE_EVENT_COLUMN_COUNT + 2)
#define COLUMN_IS_LAST (STORE_EVENT_COLUMN_COUNT + 3)
#define COLUMN_STORE (STORE_EVENT_COLUMN_COUNT + 4)

static void follow(Follower *follower);

/* ---- timers and errors ---- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	follow(arg);
}

static void
follow_later(Follower *follower, int usecs)
{
	const struct timeval wait = {usecs / 1000000, usecs % 1000000};

	evtimer_add(follower->timer, &wait);
}

static void
note_error(Follower *follower, const StoreError *error)
{
	if (!follower->has_failed)
		log_line(LOG_WARNING, "cannot follow the store as %s: %s; trying again",
				 store_role_name(follower->role), error->message);
	follower->has_failed = true;
}

static void
note_success(Follower *follower)
{
	if (follower->has_failed)
		log_line(LOG_INFO, "follows the store as %s again, from position %lld",
				 store_role_name(follower->role), (long long) follower->ring.end);
	follower->has_failed = false;
}

/* ---- requests ---- */

static void
on_begin(StoreRequest *request)
{
	Follower *follower = request->arg;

	follower->has_more = false;
	follower->head = -1;
	follower->has_lost = false;
}

static void
on_head_row(StoreRequest *request, const PGresult *result, int row)
{
	Follower *follower = request->arg;

	follower->head = store_int8(result, row, 0);
	follower->newest = store_int8(result, row, 1);
	if (follower->newest >= 0)
		store_uuid(result, row, 2, &follower->newest_id);
	follower->store_read = (uint32_t) store_int4(result, row, 3);
}

/* Is the newest event, as it was known before, not there any more, or another one in its place? */
static bool
is_newest_lost(const Follower *follower, const PGresult *result, int row)
{
	Uuid id;

	if (PQgetisnull(result, row, COLUMN_NEWEST_ID))
		return true;
	store_uuid(result, row, COLUMN_NEWEST_ID, &id);
	return memcmp(&id, &follower->newest_id, sizeof(Uuid)) != 0;
}

/* Events that are much larger than expected must not take more memory than the ring may. */
static void
add_to_ring(Ring *ring, StoreEvent *event)
{
	ring_add(ring, event);
	if (ring->bytes > (size_t) settings.ring_size + PAGE_BYTES)
		ring_trim(ring, (size_t) settings.ring_size);
}

static void
on_row(StoreRequest *request, const PGresult *result, int row)
{
	Follower *follower = request->arg;
	StoreEvent *event;

	follower->head = store_int8(result, row, COLUMN_HEAD);
	follower->store_read = (uint32_t) store_int4(result, row, COLUMN_STORE);
	if (follower->is_checking && is_newest_lost(follower, result, row))
		follower->has_lost = true;
	follower->is_checking = false;
	if (PQgetisnull(result, row, 0) || follower->has_lost)
		return;
	/* until the last of the page has come, or if it is full */
	follower->has_more = PQgetvalue(result, row, COLUMN_IS_LAST)[0] == 0 ||
						 store_int8(result, row, COLUMN_PAGE_PLACE) >= PAGE_EVENTS;
	event = store_event_of_row(result, row);
	/* rows come again after a lost connection */
	if (event->global_position > follower->ring.end)
	{
		follower->newest = event->global_position;
		follower->newest_id = event->event_id;
		add_to_ring(&follower->ring, event);
	}
	else
		store_event_unref(event);
}

static void
run_subscriptions(Follower *follower)
{
	Subscription *next;

	for (Subscription *subscription = follower->subscriptions; subscription != NULL;
		 subscription = next)
	{
		next = subscription->next;
		subscription_run(subscription);
	}
	ring_trim(&follower->ring, (size_t) settings.ring_size);
}

/*
 * The store that answers now does not have what was read: it was dropped and created again, or
 * the server is another one, as after a failover to a standby that was behind.  Its next events
 * take positions and versions again that were delivered already.
 */
static void
lose_subscriptions(Follower *follower, const char *how)
{
	log_line(LOG_WARNING,
			 "the store of %s %s; the last was read at position %lld: the connections of its"
			 " subscribers are closed",
			 store_role_name(follower->role), how, (long long) follower->newest);
	/* those that come next begin where the store is now */
	follower->is_known = false;
	while (follower->subscriptions != NULL)
		follower->subscriptions->owner->lost(follower->subscriptions);
}

/* Ends a request; after an error it is sent again later.  Is there an answer to use? */
static bool
end_read(Follower *follower, const StoreError *error)
{
	follower->is_reading = false;
	if (follower->is_ending)
		return false;
	if (error != NULL)
	{
		note_error(follower, error);
		follow_later(follower, RETRY_USECS);
		return false;
	}
	note_success(follower);
	return true;
}

static void
on_head_done(StoreRequest *request, const StoreError *error)
{
	Follower *follower = request->arg;

	if (!end_read(follower, error))
		return;
	ring_reset(&follower->ring, follower->head);
	follower->is_known = true;
	follower->store = follower->store_read;
	run_subscriptions(follower);
	follow(follower);
}

static void
on_read_done(StoreRequest *request, const StoreError *error)
{
	Follower *follower = request->arg;

	if (!end_read(follower, error))
		return;
	if (follower->store_read != follower->store)
	{
		lose_subscriptions(follower, "was dropped");
		return;
	}
	if (follower->has_lost)
	{
		lose_subscriptions(follower, "has lost events that were read");
		return;
	}
	/* that is not lost yet, because horizons do not always ascend, but must be looked at */
	if (follower->head < follower->newest)
		follower->checked_session = 0;
	if (!follower->has_more)
		ring_reach(&follower->ring, follower->head);
	run_subscriptions(follower);
	history_rest(&follower->history, false);
	if (!follower->must_poll)
		follow(follower);
	else
		follow_later(follower, POLL_USECS);
}

static void
on_wait_done(StoreRequest *request, const StoreError *error)
{
	Follower *follower = request->arg;

	follower->is_waiting = false;
	follower->must_poll = error != NULL && strcmp(error->sqlstate, TOO_MANY_WAIT) == 0;
}

static void
send_request(Follower *follower, StoreRequest *request)
{
	request->arg = follower;
	link_send(follower->link, request);
}

static void
send_head(Follower *follower)
{
	StoreRequest *request = &follower->read;

	parameters_free(&request->parameters);
	memset(request, 0, sizeof(*request));
	request->statement = &head_statement;
	request->begin = on_begin;
	request->row = on_head_row;
	request->done = on_head_done;
	follower->is_reading = true;
	send_request(follower, request);
}

static void
send_wait(Follower *follower)
{
	StoreRequest *request = &follower->wait;

	parameters_free(&request->parameters);
	memset(request, 0, sizeof(*request));
	request->statement = &wait_statement;
	request->done = on_wait_done;
	parameter_int8(&request->parameters, follower->ring.end);
	follower->is_waiting = true;
	send_request(follower, request);
}

/* Each time before it is sent, also after a lost connection. */
static void
build_read(StoreRequest *request, const StoreFacts *facts)
{
	Follower *follower = request->arg;

	follower->is_checking = facts->sessions != follower->checked_session && follower->newest >= 0;
	follower->checked_session = facts->sessions;
	parameter_int8(&request->parameters, follower->ring.end);
	parameter_int8(&request->parameters, PAGE_EVENTS);
	parameter_int8(&request->parameters, PAGE_BYTES);
	if (follower->is_checking)
		parameter_int8(&request->parameters, follower->newest);
	else
		parameter_null(&request->parameters);
}

static void
send_read(Follower *follower)
{
	StoreRequest *request = &follower->read;

	memset(request, 0, sizeof(*request));
	request->statement = &read_statement;
	request->row_by_row = true;
	request->begin = on_begin;
	request->row = on_row;
	request->done = on_read_done;
	request->build = build_read;
	follower->is_reading = true;
	send_request(follower, request);
}

/* Nobody needs it any more. */
static void
stop(Follower *follower)
{
	evtimer_del(follower->timer);
	follower->is_known = false;
	follower->has_more = false;
	ring_free(&follower->ring);
	link_rest(follower->link);
	history_rest(&follower->history, true);
}

/* Sends what comes next, if nothing is under way. */
static void
follow(Follower *follower)
{
	if (follower->is_reading || follower->is_waiting || evtimer_pending(follower->timer, NULL))
		return;
	if (follower->subscriptions == NULL)
		stop(follower);
	else if (!follower->is_known)
		send_head(follower);
	else
	{
		/* the read follows the wait without another trip */
		if (!follower->has_more)
			send_wait(follower);
		send_read(follower);
	}
}

/* ---- subscriptions ---- */

static Follower *
create(StoreRole *role)
{
	Follower *follower = mem_zero(sizeof(Follower));

	follower->role = role;
	follower->link = link_create(role, "follower");
	follower->timer = evtimer_new(store_base(), on_timer, follower);
	history_begin(&follower->history, role);
	return follower;
}

/* The role ends; it has no subscriptions, because they hold references. */
static void
destroy(void *arg)
{
	Follower *follower = arg;

	follower->is_ending = true;
	link_destroy(follower->link);
	event_free(follower->timer);
	parameters_free(&follower->wait.parameters);
	history_free(&follower->history);
	ring_free(&follower->ring);
	free(follower);
}

void
followers_setup(void)
{
	store_role_set_follower_end(destroy);
}

Follower *
follower_add(StoreRole *role, Subscription *subscription)
{
	void **place = store_role_follower(role);
	Follower *follower = *place;

	if (follower == NULL)
		*place = follower = create(role);
	subscription->next = follower->subscriptions;
	if (subscription->next != NULL)
		subscription->next->previous = subscription;
	follower->subscriptions = subscription;
	follow(follower);
	return follower;
}

void
follower_remove(Follower *follower, Subscription *subscription)
{
	if (subscription->previous != NULL)
		subscription->previous->next = subscription->next;
	else
		follower->subscriptions = subscription->next;
	if (subscription->next != NULL)
		subscription->next->previous = subscription->previous;
	/* what is under way ends by itself, soon, and then it stops */
	follow(follower);
}
