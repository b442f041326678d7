#include "store/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/memory.h"

/* A power of two. */
#define TABLE_SIZE 4096

static Subscription *by_id[TABLE_SIZE];

static Subscription **
table_place(const Uuid *id)
{
	uint32_t hash;

	/* ids are random */
	memcpy(&hash, id->bytes, sizeof(hash));
	return &by_id[hash % TABLE_SIZE];
}

Subscription *
subscription_find(const Uuid *id)
{
	Subscription *subscription = *table_place(id);

	while (subscription != NULL && memcmp(&subscription->id, id, sizeof(Uuid)) != 0)
		subscription = subscription->next_by_id;
	return subscription;
}

static void
forget_id(Subscription *subscription)
{
	Subscription **at = table_place(&subscription->id);

	while (*at != subscription)
		at = &(*at)->next_by_id;
	*at = subscription->next_by_id;
}

/* ---- where it begins ---- */

/*
 * One statement, so one snapshot: the position up to which it sees everything, and the numbers
 * that come next.  What it does not see is committed later.
 */
static const StoreStatement find_start = {
	"subscription_start",
	"WITH h AS MATERIALIZED (SELECT @ehead() AS head),"
	" numbers AS (SELECT 0 AS kind, place::int4 AS place, @esver(stream) AS number"
	" FROM unnest($1::text[]) WITH ORDINALITY AS s (stream, place)"
	" UNION ALL SELECT 1, place, @epseq(place) FROM generate_series(0, $2::int4 - 1) AS place)"
	" SELECT head, kind, place, number FROM h LEFT JOIN numbers ON true"};

enum
{
	COLUMN_HEAD,
	COLUMN_KIND,
	COLUMN_PLACE,
	COLUMN_NUMBER
};

/* Does it have to know all sequences? */
static bool
needs_partitions(const SourceSet *sources)
{
	return sources->is_partitions ||
		   (sources->pattern_count > 0 && sources->pattern_from == SOURCE_LATEST);
}

static void
on_start_row(StoreRequest *request, const PGresult *result, int row)
{
	Subscription *subscription = request->arg;
	SourceSet *sources = &subscription->sources;
	int place = store_int4(result, row, COLUMN_PLACE);
	int64_t next = 0;

	subscription->position = store_int8(result, row, COLUMN_HEAD);
	if (PQgetisnull(result, row, COLUMN_KIND))
		return;
	if (!PQgetisnull(result, row, COLUMN_NUMBER))
		next = store_int8(result, row, COLUMN_NUMBER) + 1;
	if (store_int4(result, row, COLUMN_KIND) == 1)
		subscription->start_sequences[place] = next;
	else if (sources->streams[place - 1].is_latest)
		sources->streams[place - 1].next = next;
}

/* Where history begins, and how it is read. */
static void
choose_phase(Subscription *subscription)
{
	const SourceSet *sources = &subscription->sources;

	subscription->phase = PHASE_POSITIONED;
	if (source_is_everything(sources) ||
		(sources->pattern_count > 0 && sources->pattern_from != SOURCE_LATEST))
		subscription->position = -1;
	else if (source_has_numbers(sources))
	{
		subscription->phase = PHASE_NUMBERED;
		subscription->round_end = ROUND_NOT_BEGUN;
	}
}

static void send_start(Subscription *subscription);

static void
on_start_done(StoreRequest *request, const StoreError *error)
{
	Subscription *subscription = request->arg;
	int partitions = store_role_partitions(subscription->role);

	parameters_free(&request->parameters);
	free(request);
	subscription->start = NULL;
	if (error == NULL && needs_partitions(&subscription->sources) &&
		partitions != subscription->start_partitions)
	{
		/* their number was not known before the first connection */
		send_start(subscription);
		return;
	}
	if (error == NULL)
	{
		source_resolve(&subscription->sources, subscription->start_sequences, partitions);
		choose_phase(subscription);
	}
	free(subscription->start_sequences);
	subscription->start_sequences = NULL;
	subscription->is_held = true;
	subscription->owner->started(subscription, error);
}

static void
send_start(Subscription *subscription)
{
	const SourceSet *sources = &subscription->sources;
	StoreRequest *request = mem_zero(sizeof(StoreRequest));
	int partitions = needs_partitions(sources) ? store_role_partitions(subscription->role) : 0;

	free(subscription->start_sequences);
	subscription->start_sequences = mem_zero(((size_t) partitions + 1) * sizeof(int64_t));
	subscription->start_partitions = partitions;
	request->statement = &find_start;
	request->row = on_start_row;
	request->done = on_start_done;
	request->arg = subscription;
	parameter_array_begin(&request->parameters, OID_TEXT, sources->stream_count);
	for (int i = 0; i < sources->stream_count; i++)
		parameter_array_add(&request->parameters, sources->streams[i].id,
							sources->streams[i].length);
	parameter_array_end(&request->parameters);
	parameter_int4(&request->parameters, partitions);
	subscription->start = request;
	subscription->start_link = store_reader(subscription->role, subscription->affinity);
	link_send(subscription->start_link, request);
}

/* ---- life ---- */

Subscription *
subscription_begin(StoreRole *role, SourceSet *sources, int64_t window, uint64_t affinity,
				   const SubscriptionOwner *owner, void *arg)
{
	Subscription *subscription = mem_zero(sizeof(Subscription));
	Subscription **place;

	uuid_random(&subscription->id);
	subscription->role = store_role_ref(role);
	subscription->owner = owner;
	subscription->arg = arg;
	subscription->affinity = affinity;
	subscription->sources = *sources;
	memset(sources, 0, sizeof(*sources));
	window_init(&subscription->window, window);
	subscription->page_events = FIRST_PAGE_EVENTS;
	place = table_place(&subscription->id);
	subscription->next_by_id = *place;
	*place = subscription;
	subscription->follower = follower_add(role, subscription);
	send_start(subscription);
	return subscription;
}

void
subscription_end(Subscription *subscription)
{
	StoreRole *role = subscription->role;

	if (subscription->start != NULL)
		link_cancel(subscription->start_link, subscription->start);
	history_forget(&subscription->follower->history, subscription);
	follower_remove(subscription->follower, subscription);
	forget_id(subscription);
	source_set_free(&subscription->sources);
	free(subscription->start_sequences);
	free(subscription);
	store_role_unref(role);
}

/* ---- delivery ---- */

static void
deliver(Subscription *subscription, StoreEvent *event)
{
	subscription->owner->deliver(subscription, event, subscription->window.cursor);
	subscription->window.cursor++;
	source_take(&subscription->sources, event);
	counters.pushed_events++;
}

/* May an event be sent, with this much output at most? */
static bool
may_send(Subscription *subscription, size_t most)
{
	if (window_room(&subscription->window, 1) == 0)
		return false;
	if (subscription->owner->output(subscription) <= most)
		return true;
	subscription->owner->paused(subscription);
	return false;
}

bool
subscription_offer(Subscription *subscription, StoreEvent *event)
{
	bool is_positioned = subscription->phase == PHASE_POSITIONED;

	/* rows come again after a lost connection */
	if (is_positioned && event->global_position <= subscription->position)
		return true;
	/* up to the horizon only: the ring has the rest */
	if (!is_positioned && event->global_position > subscription->round_end)
		return true;
	if (source_wants(&subscription->sources, event))
	{
		if (!may_send(subscription, SUBSCRIPTION_OUTPUT_MOST))
			return false;
		deliver(subscription, event);
	}
	if (is_positioned)
		subscription->position = event->global_position;
	return true;
}

void
subscription_reached(Subscription *subscription, int64_t position)
{
	/*
	 * Patterns, beside streams with numbers, begin where the subscription did, which can be
	 * before or behind the end of the round.
	 */
	if (subscription->phase == PHASE_POSITIONED || subscription->sources.pattern_count == 0 ||
		position < subscription->position)
		subscription->position = position;
	subscription->phase = PHASE_POSITIONED;
}

static void
begin_round(Subscription *subscription)
{
	subscription->phase = PHASE_NUMBERED;
	subscription->round_place = 0;
	subscription->round_end = subscription->follower->ring.end;
}

bool
subscription_wants_page(Subscription *subscription)
{
	return may_send(subscription, SUBSCRIPTION_OUTPUT_LOW);
}

static void
run_live(Subscription *subscription)
{
	const Ring *ring = &subscription->follower->ring;

	for (size_t i = ring_find(ring, subscription->position); i < ring->count; i++)
	{
		StoreEvent *event = ring_at(ring, i);

		if (source_wants(&subscription->sources, event))
		{
			if (!may_send(subscription, SUBSCRIPTION_OUTPUT_HIGH))
				return;
			deliver(subscription, event);
		}
		subscription->position = event->global_position;
	}
	if (subscription->position < ring->end)
		subscription->position = ring->end;
}

/* Can it read on from a position, or only by numbers? */
static bool
reads_positions(const SourceSet *sources)
{
	return sources->is_all || sources->pattern_count > 0;
}

void
subscription_flow(Subscription *subscription)
{
	subscription->is_held = false;
	subscription_run(subscription);
}

void
subscription_run(Subscription *subscription)
{
	Follower *follower = subscription->follower;

	if (subscription->phase == PHASE_STARTING || subscription->is_held || !follower->is_known ||
		subscription->is_queued || subscription->page != NULL)
		return;
	if (subscription->phase == PHASE_POSITIONED)
	{
		if (ring_covers(&follower->ring, subscription->position))
		{
			run_live(subscription);
			return;
		}
		if (!reads_positions(&subscription->sources))
			begin_round(subscription);
	}
	else if (subscription->round_end == ROUND_NOT_BEGUN)
		begin_round(subscription);
	if (subscription_wants_page(subscription))
		history_ask(&follower->history, subscription);
}
