#include "store/history.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/subscription.h"

/* A page: events, their bytes, and how many streams or partitions it looks into. */
#define PAGE_EVENTS 1000
/* ... and one that leaves out what is not wanted */
#define FILTERED_PAGE_EVENTS 4000
#define PAGE_BYTES (256 * 1024)
#define PAGE_SOURCES 200

/* Behind those of the event: how many events the page has looked at, and is it the last one? */
#define COLUMN_PAGE_PLACE STORE_EVENT_COLUMN_COUNT
#define COLUMN_IS_LAST (STORE_EVENT_COLUMN_COUNT + 1)

#define UNUSED_USECS INT64_C(60000000)
#define RETRY_SECONDS 1

struct HistoryPage
{
	/* the first, because the link frees it */
	StoreRequest request;
	History *history;
	Subscription *subscription;
	int lane;
	bool is_numbered;
	/* PHASE_POSITIONED: the last position that it reads */
	int64_t to;
	int max_events;
	/* PHASE_NUMBERED: the places behind the first and behind the last that it reads */
	int end_place;
	/* how many events it has looked at, whether it came to the last of them, and their bytes */
	int64_t place;
	bool has_last;
	size_t bytes;
	/* the subscription did not take all of it */
	bool is_cut;
};

/*
 * Numbers the events of a page in the order in which they are found, and ends it when it has
 * enough bytes.  One window, without an order of its own: each more would store and sort all
 * events once more, which takes longer than to find them.
 */
#define PAGE(is_sent, events, bytes)                                                               \
	"SELECT " STORE_EVENT_COLUMNS ", page_place, is_last FROM ("                                   \
	"SELECT e.*, row_number() OVER w AS page_place, lead(true) OVER w IS NULL AS is_last,"         \
	" sum(size) OVER w - size AS before FROM (" events ") AS e"                                    \
	" WINDOW w AS (ROWS UNBOUNDED PRECEDING)) AS e"                                                \
	" WHERE before < " bytes " AND (is_last OR " is_sent ")"

/*
 * Streams from their versions on, partitions from their sequences on.  The nested loop takes them
 * in their order, and ends with the first that fills the page.
 */
#define NUMBERED(type, function)                                                                   \
	PAGE("true",                                                                                   \
		 "SELECT e.*, " STORE_EVENT_SIZE " AS size"                                                \
		 " FROM unnest($1::" type "[], $2::int8[]) WITH ORDINALITY AS s (source, next, place),"    \
		 " LATERAL @" function "(s.source, s.next, NULL, $3) AS e LIMIT $3",                       \
		 "$4")

static const StoreStatement read_streams = {"history_streams", NUMBERED("text", "escan")};
static const StoreStatement read_partitions = {"history_partitions", NUMBERED("int4", "epscan")};

/*
 * Everything in (after, to].  The last event of the page comes whether it is wanted or not: it
 * says how far the page has looked.
 */
static const StoreStatement read_positions = {
	"history_positions",
	PAGE("is_wanted",
		 "SELECT e.*, is_wanted, CASE WHEN is_wanted THEN " STORE_EVENT_SIZE " ELSE 0 END AS size"
		 " FROM @equery('[{}]', $1, $2, false, $3) AS e,"
		 " LATERAL (SELECT $4::text[] IS NULL OR e.stream_id LIKE ANY ($4) AS is_wanted) AS f",
		 "$5")};

static void read_next(History *history);

/* ---- what a page reads ---- */

/* A pattern or a stream id as LIKE wants it. */
static void
add_like(StoreParameters *parameters, const char *text, size_t length, bool is_pattern)
{
	char *like = mem_alloc(length * 2 + 1);
	size_t used = 0;

	for (size_t i = 0; i < length; i++)
	{
		if (is_pattern && text[i] == '*')
			like[used++] = '%';
		else
		{
			if (text[i] == '%' || text[i] == '_' || text[i] == '\\')
				like[used++] = '\\';
			like[used++] = text[i];
		}
	}
	parameter_array_add(parameters, like, used);
	free(like);
}

static void
add_filter(StoreParameters *parameters, const SourceSet *sources)
{
	if (sources->is_partitions)
	{
		parameter_null(parameters);
		return;
	}
	parameter_array_begin(parameters, OID_TEXT, sources->stream_count + sources->pattern_count);
	for (int i = 0; i < sources->stream_count; i++)
		add_like(parameters, sources->streams[i].id, sources->streams[i].length, false);
	for (int i = 0; i < sources->pattern_count; i++)
		add_like(parameters, sources->patterns[i].text, sources->patterns[i].length, true);
	parameter_array_end(parameters);
}

static void
prepare_positions(HistoryPage *page)
{
	Subscription *subscription = page->subscription;
	StoreParameters *parameters = &page->request.parameters;

	page->request.statement = &read_positions;
	page->to = subscription->follower->ring.end;
	parameter_int8(parameters, subscription->position);
	parameter_int8(parameters, page->max_events);
	parameter_int8(parameters, page->to);
	add_filter(parameters, &subscription->sources);
	parameter_int8(parameters, PAGE_BYTES);
}

static void
add_page_limits(HistoryPage *page)
{
	parameter_int8(&page->request.parameters, page->max_events);
	parameter_int8(&page->request.parameters, PAGE_BYTES);
}

static void
prepare_streams(HistoryPage *page)
{
	const Subscription *subscription = page->subscription;
	const SourceSet *sources = &subscription->sources;
	StoreParameters *parameters = &page->request.parameters;
	int first = subscription->round_place;
	int count = sources->stream_count - first;

	if (count > PAGE_SOURCES)
		count = PAGE_SOURCES;
	page->request.statement = &read_streams;
	page->end_place = first + count;
	parameter_array_begin(parameters, OID_TEXT, count);
	for (int i = first; i < page->end_place; i++)
		parameter_array_add(parameters, sources->streams[i].id, sources->streams[i].length);
	parameter_array_end(parameters);
	parameter_array_begin(parameters, OID_INT8, count);
	for (int i = first; i < page->end_place; i++)
		parameter_array_add_int8(parameters, sources->streams[i].next);
	parameter_array_end(parameters);
	add_page_limits(page);
}

static void
prepare_partitions(HistoryPage *page)
{
	const Subscription *subscription = page->subscription;
	const SourceSet *sources = &subscription->sources;
	StoreParameters *parameters = &page->request.parameters;
	int first = subscription->round_place;
	int count = 0;

	page->request.statement = &read_partitions;
	for (page->end_place = first; page->end_place < sources->partitions && count < PAGE_SOURCES;
		 page->end_place++)
		count += sources->next[page->end_place] != SOURCE_NEVER;
	parameter_array_begin(parameters, OID_INT4, count);
	for (int i = first; i < page->end_place; i++)
		if (sources->next[i] != SOURCE_NEVER)
			parameter_array_add_int4(parameters, i);
	parameter_array_end(parameters);
	parameter_array_begin(parameters, OID_INT8, count);
	for (int i = first; i < page->end_place; i++)
		if (sources->next[i] != SOURCE_NEVER)
			parameter_array_add_int8(parameters, sources->next[i]);
	parameter_array_end(parameters);
	add_page_limits(page);
}

/* ---- the answer ---- */

static void
on_begin(StoreRequest *request)
{
	HistoryPage *page = request->arg;

	page->place = 0;
	page->has_last = false;
	page->bytes = 0;
	page->is_cut = false;
}

/* The place of a stream or partition that was read; those before it have no more events. */
static void
note_place(HistoryPage *page, const StoreEvent *event)
{
	Subscription *subscription = page->subscription;
	const SourceStream *stream;

	if (subscription->sources.is_partitions)
		subscription->round_place = event->partition_id;
	else
	{
		stream =
			source_find_stream(&subscription->sources, event->stream_id, event->stream_id_length);
		if (stream != NULL)
			subscription->round_place = (int) (stream - subscription->sources.streams);
	}
	/* what is above the end of the round comes later, of this and of the rest of the source */
	if (event->global_position > subscription->round_end)
		subscription->round_place++;
}

static void
on_row(StoreRequest *request, const PGresult *result, int row)
{
	HistoryPage *page = request->arg;
	StoreEvent *event;

	if (page->is_cut)
		return;
	page->place = store_int8(result, row, COLUMN_PAGE_PLACE);
	page->has_last = PQgetvalue(result, row, COLUMN_IS_LAST)[0] != 0;
	event = store_event_of_row(result, row);
	page->bytes += event->bytes;
	if (page->is_numbered)
		note_place(page, event);
	if (!subscription_offer(page->subscription, event))
		page->is_cut = true;
	store_event_unref(event);
}

/* Has the page found all that there was to find? */
static bool
is_complete(const HistoryPage *page)
{
	return !page->is_cut && (page->place == 0 || page->has_last) && page->place < page->max_events;
}

/* Looks at as many events as the next page can send. */
static void
fit_page(const HistoryPage *page)
{
	Subscription *subscription = page->subscription;

	if (page->is_cut)
		/* as many as the subscription takes, also with a small window */
		subscription->page_events =
			subscription->page_events > 1 ? subscription->page_events / 2 : 1;
	else if (page->place > 0 && !page->has_last)
		/* it was full */
		subscription->page_events = (int) (page->place + page->place / 8 + 1);
	else if (page->bytes < PAGE_BYTES / 2 && subscription->page_events < FILTERED_PAGE_EVENTS)
		subscription->page_events *= 2;
}

static void
note_progress(HistoryPage *page)
{
	Subscription *subscription = page->subscription;
	int sources = subscription->sources.is_partitions ? subscription->sources.partitions
													  : subscription->sources.stream_count;

	fit_page(page);
	if (!page->is_numbered)
	{
		if (is_complete(page))
			subscription_reached(subscription, page->to);
		return;
	}
	if (is_complete(page))
		subscription->round_place = page->end_place;
	if (subscription->round_place >= sources)
		subscription_reached(subscription, subscription->round_end);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	History *history = arg;

	(void) fd;
	(void) what;
	event_free(history->timer);
	history->timer = NULL;
	read_next(history);
}

static void
wait_after_error(History *history, const StoreError *error)
{
	const struct timeval wait = {RETRY_SECONDS, 0};

	log_line(LOG_WARNING, "could not read the history of a subscription: %s", error->message);
	if (history->timer != NULL)
		return;
	history->timer = evtimer_new(store_base(), on_timer, history);
	evtimer_add(history->timer, &wait);
}

static void
on_done(StoreRequest *request, const StoreError *error)
{
	HistoryPage *page = request->arg;
	Subscription *subscription = page->subscription;
	History *history = page->history;

	subscription->page = NULL;
	history->pages[page->lane] = NULL;
	if (error == NULL)
		note_progress(page);
	else
		wait_after_error(history, error);
	parameters_free(&request->parameters);
	free(page);
	subscription_run(subscription);
	read_next(history);
}

/* ---- turns ---- */

/* How many events a page looks at. */
static int
page_limit(const Subscription *subscription)
{
	int limit = subscription->page_events;

	if (subscription->phase == PHASE_POSITIONED && !subscription->sources.is_all)
		return limit < FILTERED_PAGE_EVENTS ? limit : FILTERED_PAGE_EVENTS;
	return (int) window_room(&subscription->window, limit < PAGE_EVENTS ? limit : PAGE_EVENTS);
}

static void
send_page(History *history, int lane, Subscription *subscription)
{
	HistoryPage *page = mem_zero(sizeof(HistoryPage));

	page->history = history;
	page->subscription = subscription;
	page->lane = lane;
	page->is_numbered = subscription->phase == PHASE_NUMBERED;
	page->max_events = page_limit(subscription);
	page->request.row_by_row = true;
	page->request.begin = on_begin;
	page->request.row = on_row;
	page->request.done = on_done;
	page->request.arg = page;
	on_begin(&page->request);
	if (!page->is_numbered)
		prepare_positions(page);
	else if (subscription->sources.is_partitions)
		prepare_partitions(page);
	else
		prepare_streams(page);
	subscription->page = page;
	history->pages[lane] = page;
	history->used_at = clock_usecs();
	link_send(history->links[lane], &page->request);
}

static void
unqueue(History *history, Subscription *before, Subscription *subscription)
{
	if (before != NULL)
		before->next_queued = subscription->next_queued;
	else
		history->first = subscription->next_queued;
	if (history->last == subscription)
		history->last = before;
	subscription->next_queued = NULL;
	subscription->is_queued = false;
}

/* A client gets one page at a time: it must not take all turns, nor all memory. */
static bool
client_has_page(const History *history, const Subscription *subscription)
{
	for (int i = 0; i < HISTORY_LINKS; i++)
	{
		if (history->pages[i] != NULL &&
			history->pages[i]->subscription->affinity == subscription->affinity)
			return true;
	}
	return false;
}

/* Takes the next one whose turn it is out of the queue. */
static Subscription *
take_next(History *history)
{
	Subscription *before = NULL;
	Subscription *subscription = history->first;

	while (subscription != NULL)
	{
		Subscription *next = subscription->next_queued;

		if (client_has_page(history, subscription))
			before = subscription;
		else
		{
			unqueue(history, before, subscription);
			if (subscription_wants_page(subscription))
				return subscription;
		}
		subscription = next;
	}
	return NULL;
}

static void
read_next(History *history)
{
	for (int lane = 0; lane < HISTORY_LINKS && history->timer == NULL; lane++)
	{
		Subscription *subscription;

		if (history->pages[lane] != NULL)
			continue;
		subscription = take_next(history);
		if (subscription == NULL)
			break;
		send_page(history, lane, subscription);
	}
}

void
history_ask(History *history, Subscription *subscription)
{
	if (subscription->is_queued || subscription->page != NULL)
		return;
	subscription->is_queued = true;
	if (history->last != NULL)
		history->last->next_queued = subscription;
	else
		history->first = subscription;
	history->last = subscription;
	read_next(history);
}

void
history_forget(History *history, Subscription *subscription)
{
	HistoryPage *page = subscription->page;
	Subscription *before = NULL;

	if (subscription->is_queued)
	{
		for (Subscription *at = history->first; at != subscription; at = at->next_queued)
			before = at;
		unqueue(history, before, subscription);
	}
	if (page == NULL)
		return;
	subscription->page = NULL;
	history->pages[page->lane] = NULL;
	link_cancel(history->links[page->lane], &page->request);
	read_next(history);
}

void
history_begin(History *history, struct StoreRole *role)
{
	for (int i = 0; i < HISTORY_LINKS; i++)
		history->links[i] = link_create(role, "history");
}

void
history_free(History *history)
{
	if (history->timer != NULL)
		event_free(history->timer);
	history->timer = NULL;
	for (int i = 0; i < HISTORY_LINKS; i++)
		link_destroy(history->links[i]);
}

void
history_rest(History *history, bool at_once)
{
	if (!at_once && clock_usecs() - history->used_at < UNUSED_USECS)
		return;
	for (int i = 0; i < HISTORY_LINKS; i++)
		link_rest(history->links[i]);
}
