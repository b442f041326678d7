#include "fake_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fake_rows.h"
#include "store/connect.h"
#include "store/link.h"

/* Answers of one input: then there are only errors, so that nothing continues for ever. */
#define MOST_ANSWERS 300
/* New events that subscriptions get. */
#define MOST_WAITS 6

struct StoreLink
{
	StoreRequest *first;
	StoreRequest *last;
	int load;
	bool was_connected;
	bool is_ending;
	/* the answer of the first, and the row of it that comes next */
	PGresult *result;
	int row;
	StoreLink *next;
};

typedef struct FakeConnect
{
	ConnectDone done;
	void *arg;
	struct FakeConnect *next;
} FakeConnect;

static FakeMood mood;
static StoreFacts facts;
static StoreLink *links;
static FakeConnect *connects;
static int answers;
static int waits;

/* ---- the ends of requests ---- */

static void
fill_error(StoreError *error, StoreFailure failure)
{
	static const char *const states[] = {"",	  "57P03", "57014", "40001", "25006",
										 "42501", "28P01", "XX000", "22021", "53300"};
	static const char *const texts[] = {"it failed", "", "two\r\nlines", "%s %n", "\xff\xc3"};
	static char long_text[1200];
	const char *state = states[fake_random(10)];
	const char *message = texts[fake_random(5)];
	const char *detail = texts[fake_random(5)];

	/* wherever it is cut, that is within a letter sometimes */
	for (size_t i = 0; i < sizeof(long_text) - 2; i += 2)
		memcpy(long_text + i, "\xc3\xa4", 2);
	if (fake_chance(4))
		message = long_text + 2 * fake_random(600);
	if (fake_chance(4))
		detail = long_text + 2 * fake_random(600);

	*error = (StoreError){failure,
						  "",
						  message,
						  detail,
						  texts[fake_random(5)],
						  texts[fake_random(5)],
						  texts[fake_random(5)]};
	memcpy(error->sqlstate, state, strlen(state) + 1);
}

/* As link_end_request(). */
static void
end_first(StoreLink *link, const StoreError *error)
{
	StoreRequest *request = link->first;

	link->first = request->next;
	if (link->first == NULL)
		link->last = NULL;
	link->load--;
	PQclear(link->result);
	link->result = NULL;
	if (request->is_cancelled)
	{
		parameters_free(&request->parameters);
		free(request);
	}
	else
		request->done(request, error);
}

static bool
is_wait(const StoreRequest *request)
{
	return strcmp(request->statement->name, "follower_wait") == 0;
}

static bool
fails(const StoreRequest *request)
{
	if (answers > MOST_ANSWERS || mood == FAKE_BROKEN)
		return true;
	/* a subscription that does not begin shows little */
	return mood == FAKE_MIXED &&
		   fake_chance(strncmp(request->statement->name, "follower", 8) == 0 ? 20 : 6);
}

static void
fail(StoreLink *link)
{
	StoreFailure failure = (StoreFailure) fake_random(link->first->writes ? 3 : 2);
	StoreError error;

	fill_error(&error, failure);
	end_first(link, &error);
}

/* The request is sent: its parameters are known then, and are thrown away after it. */
static PGresult *
execute(StoreRequest *request)
{
	PGresult *result;

	if (request->build != NULL)
		request->build(request, &facts);
	result = fake_rows(request);
	if (request->build != NULL)
		parameters_free(&request->parameters);
	if (request->begin != NULL)
		request->begin(request);
	return result;
}

/* Some rows arrive; after a lost connection the request is sent again. */
static void
give_rows(StoreLink *link)
{
	StoreRequest *request = link->first;
	int count = 1 + (int) fake_random(400);

	while (count-- > 0 && link->row < PQntuples(link->result))
	{
		if (request->row != NULL)
			request->row(request, link->result, link->row);
		link->row++;
	}
	if (mood == FAKE_MIXED && fake_chance(20))
	{
		facts.sessions++;
		/* the store may be another one now */
		if (fake_chance(4))
			facts.partitions = fake_partitions = fake_chance(2) ? 5 : 32;
		PQclear(link->result);
		link->result = NULL;
	}
}

static bool
answer(StoreLink *link)
{
	StoreRequest *request = link->first;

	if (request == NULL || (is_wait(request) && waits >= MOST_WAITS && !request->is_cancelled))
		return false;
	link->was_connected = true;
	if (request->is_cancelled)
	{
		end_first(link, NULL);
		return true;
	}
	if (link->result == NULL)
	{
		answers++;
		waits += is_wait(request);
		if (fails(request))
		{
			fail(link);
			return true;
		}
		link->result = execute(request);
		link->row = 0;
	}
	give_rows(link);
	if (link->result != NULL && link->row == PQntuples(link->result))
		end_first(link, NULL);
	return true;
}

/* ---- logins ---- */

/* In place of libpq's: a connection is nothing but memory. */
int
PQconnectionUsedPassword(const PGconn *connection)
{
	return *(const char *) connection;
}

void
PQfinish(PGconn *connection)
{
	free(connection);
}

static void
answer_connect(void)
{
	FakeConnect *connect = connects;
	StoreError error;
	char *connection;

	connects = connect->next;
	if (mood == FAKE_BROKEN || fake_chance(3))
	{
		fill_error(&error, STORE_DOWN);
		connect->done(connect->arg, NULL, &error);
	}
	else
	{
		connection = mem_zero(1);
		*connection = !fake_chance(4);
		connect->done(connect->arg, (PGconn *) connection, NULL);
	}
	free(connect);
}

/* ---- what the fuzzer calls ---- */

void
fake_store_begin(FakeMood fake_mood, uint32_t seed, int partitions)
{
	mood = fake_mood;
	fake_random_seed(seed);
	fake_is_empty = mood == FAKE_EMPTY;
	fake_partitions = partitions;
	fake_head = fake_is_empty ? -1 : 10;
	facts = (StoreFacts){partitions, 70001, 70002, seed % 2, 1};
	answers = waits = 0;
}

bool
fake_store_turn(void)
{
	bool has_answered = connects != NULL;

	if (connects != NULL)
		answer_connect();
	/* an answer can make links, in front, but ends none: roles rest after a minute only */
	for (StoreLink *link = links; link != NULL; link = link->next)
		has_answered |= answer(link);
	return has_answered;
}

void
fake_store_end_logins(void)
{
	while (connects != NULL)
		answer_connect();
}

int
fake_store_waiting(void)
{
	int count = 0;

	for (const StoreLink *link = links; link != NULL; link = link->next)
		for (const StoreRequest *request = link->first; request != NULL; request = request->next)
			count += strncmp(request->statement->name, "follower", 8) != 0;
	for (const FakeConnect *connect = connects; connect != NULL; connect = connect->next)
		count++;
	return count;
}

void
fake_store_end(void)
{
	assert(links == NULL && connects == NULL);
}

/* ---- store/link.h ---- */

StoreLink *
link_create(struct StoreRole *role, const char *name)
{
	StoreLink *link = mem_zero(sizeof(StoreLink));

	(void) role;
	(void) name;
	link->next = links;
	links = link;
	return link;
}

void
link_destroy(StoreLink *link)
{
	static const StoreError error = {STORE_DOWN, "", "the role has been closed", "", "", "", ""};
	StoreLink **at = &links;

	if (link == NULL)
		return;
	link->is_ending = true;
	while (link->first != NULL)
		end_first(link, &error);
	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	free(link);
}

void
link_send(StoreLink *link, StoreRequest *request)
{
	/* it would never be answered */
	assert(!link->is_ending);
	request->is_cancelled = false;
	request->next = NULL;
	link->load++;
	if (link->last != NULL)
		link->last->next = request;
	else
		link->first = request;
	link->last = request;
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
	(void) link;
}

void
link_wake(StoreLink *link)
{
	(void) link;
}

bool
link_is_down(const StoreLink *link)
{
	(void) link;
	return mood == FAKE_BROKEN;
}

const StoreFacts *
link_facts(const StoreLink *link)
{
	return link->was_connected ? &facts : NULL;
}

/* ---- store/connect.h ---- */

void
connect_setup(struct event_base *base, struct evdns_base *resolver)
{
	(void) base;
	(void) resolver;
}

StoreConnect *
connect_start(const char *user, const char *password, const char *name, unsigned attempt,
			  ConnectDone done, void *arg)
{
	FakeConnect *connect = mem_zero(sizeof(FakeConnect));

	assert(user != NULL && password != NULL && name != NULL && attempt == 0);
	connect->done = done;
	connect->arg = arg;
	connect->next = connects;
	connects = connect;
	return NULL;
}

void
connect_cancel(StoreConnect *connect)
{
	(void) connect;
}

char *
connect_default_user(void)
{
	return mem_text("postgres");
}
