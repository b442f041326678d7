/*
 * gateway_commands.c
 *		libFuzzer: the words of commands, from the connection of a client to the store, and the
 *		replies back to the client.
 *
 * Everything of the gateway is real but the listener and the sessions at PostgreSQL: see
 * fake_store.h.  What is sent to it must be what PostgreSQL takes.  Every reply must be one that
 * clients can read, and there must be one for each request.
 *
 * An input is three bytes and then requests, which end with ';'.  Words are separated by single
 * blanks.  A backslash makes the next byte part of the word, ':' begins an integer, '_' alone is a
 * null, and '$' alone is the id that was answered last.  The first byte says how the gateway is
 * set, see set_up(); the second is the mood of the store, the third begins its numbers.  These
 * requests are for the fuzzer: "@0" to "@3" choose the client, "@." lets the gateway work before
 * the next request is sent, "@-" ends the client, "@~" makes it stop to read, or continue, and
 * "@t" lets the time of all timers come.
 *
 * sources: base frame store client command fake_store.c fake_rows.c frame_check.c
 * without: base/log.c store/connect.c store/hosts.c store/link.c store/link_session.c
 * packages: libpq libcrypto
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/settings.h"
#include "client/client.h"
#include "command/command.h"
#include "command/feed.h"
#include "fake_store.h"
#include "frame_check.h"

#define CLIENTS 4

/* The other end of a connection. */
typedef struct Peer
{
	/* -1: there is none */
	int fd;
	/* what the socket has not taken yet, and what was read */
	struct evbuffer *out;
	struct evbuffer *in;
	/* the gateway has closed the connection */
	bool is_closed;
	/* it does not read */
	bool is_deaf;
	/* each of its requests has one reply */
	bool is_countable;
	int sent;
	FrameCheck check;
} Peer;

static struct event_base *base;
static ListenAddress address;
static Peer peers[CLIENTS];
static char last_id[40];
static enum { END_CLIENTS_FIRST, END_GATEWAY_IN_TIME, END_GATEWAY_AT_ONCE } end;

/* ---- the log is written, and forgotten ---- */

void
log_configure(LogLevel level, int with_time)
{
	(void) level;
	(void) with_time;
}

int
log_wants(LogLevel level)
{
	(void) level;
	return 1;
}

void
log_line(LogLevel level, const char *format, ...)
{
	char line[2000];
	va_list values;

	(void) level;
	va_start(values, format);
	vsnprintf(line, sizeof(line), format, values);
	va_end(values);
}

/* ---- the clients ---- */

static Peer *
peer_of(int number)
{
	Peer *peer = &peers[number];
	int pair[2];

	if (peer->fd >= 0)
		return peer;
	memset(peer, 0, sizeof(*peer));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		abort();
	peer->fd = pair[1];
	peer->in = evbuffer_new();
	peer->out = evbuffer_new();
	peer->is_countable = address.esub_reply == ESUB_REPLY_ID;
	frame_check_init(&peer->check);
	client_create(bufferevent_socket_new(base, pair[0], BEV_OPT_CLOSE_ON_FREE), "127.0.0.1:1",
				  &address);
	return peer;
}

static void
end_peer(Peer *peer)
{
	close(peer->fd);
	peer->fd = -1;
	evbuffer_free(peer->in);
	evbuffer_free(peer->out);
}

/* Sends and reads what is possible; returns whether that was anything. */
static bool
exchange(Peer *peer)
{
	bool is_busy = false;
	int length;

	if (evbuffer_get_length(peer->out) > 0 && evbuffer_write(peer->out, peer->fd) > 0)
		is_busy = true;
	if (peer->is_deaf || peer->is_closed)
		return is_busy;
	length = evbuffer_read(peer->in, peer->fd, 65536);
	if (length == 0 || (length < 0 && errno != EAGAIN))
		peer->is_closed = true;
	if (length > 0)
	{
		is_busy = true;
		frame_check(&peer->check, peer->in);
		if (peer->check.last_id[0] != '\0')
			memcpy(last_id, peer->check.last_id, sizeof(last_id));
	}
	return is_busy;
}

/* Until nothing happens any more. */
static void
run(void)
{
	/* the gateway reads in one turn what was written in the turn before */
	int quiet = 0;

	for (int i = 0; quiet < 3; i++)
	{
		bool is_busy = fake_store_turn();

		assert(i < 20000);
		is_busy |= event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0;
		event_base_loop(base, EVLOOP_NONBLOCK);
		for (int j = 0; j < CLIENTS; j++)
			if (peers[j].fd >= 0)
				is_busy |= exchange(&peers[j]);
		quiet = is_busy ? 0 : quiet + 1;
	}
}

/* All has been answered. */
static void
check_replies(const Peer *peer)
{
	if (peer->fd < 0 || peer->is_closed || peer->is_deaf)
		return;
	assert(evbuffer_get_length(peer->in) == 0 && evbuffer_get_length(peer->out) == 0);
	if (peer->is_countable && fake_store_waiting() == 0)
		assert(peer->check.replies == peer->sent);
}

/* ---- requests ---- */

typedef struct Line
{
	const uint8_t *at;
	const uint8_t *end;
	int words;
	char first[16];
	struct evbuffer *frame;
} Line;

static bool
is_integer(const char *word, size_t length)
{
	if (length < 2 || length > 19 || word[0] != ':')
		return false;
	for (size_t i = 1; i < length; i++)
		if (word[i] < '0' || word[i] > '9')
			return false;
	return true;
}

static void
add_word(Line *line, const char *word, size_t length)
{
	if (length == 1 && word[0] == '_')
		evbuffer_add(line->frame, "_\r\n", 3);
	else if (is_integer(word, length))
	{
		evbuffer_add(line->frame, word, length);
		evbuffer_add(line->frame, "\r\n", 2);
	}
	else
	{
		if (length == 1 && word[0] == '$')
		{
			word = last_id;
			length = strlen(last_id);
		}
		evbuffer_add_printf(line->frame, "$%zu\r\n", length);
		evbuffer_add(line->frame, word, length);
		evbuffer_add(line->frame, "\r\n", 2);
	}
	if (line->words++ == 0)
		snprintf(line->first, sizeof(line->first), "%.*s", (int) length, word);
}

/* Takes the next word; false if it was the last of its request. */
static bool
take_word(Line *line)
{
	char word[4096];
	size_t length = 0;
	bool is_last = true;

	while (line->at < line->end)
	{
		uint8_t byte = *line->at++;

		if (byte == ' ')
			is_last = false;
		if (byte == ' ' || byte == ';')
			break;
		if (byte == '\\' && line->at < line->end)
			byte = *line->at++;
		if (length < sizeof(word))
			word[length++] = (char) byte;
	}
	add_word(line, word, length);
	return !is_last;
}

#define MOST_TIMERS 500

typedef struct Timers
{
	struct event *events[MOST_TIMERS];
	int count;
} Timers;

static int
note_timer(const struct event_base *event_base, const struct event *event, void *arg)
{
	Timers *timers = arg;

	(void) event_base;
	if (event_pending(event, EV_TIMEOUT, NULL) && timers->count < MOST_TIMERS)
		timers->events[timers->count++] = (struct event *) event;
	return 0;
}

static void
let_timers_come(void)
{
	Timers timers = {.count = 0};

	run();
	event_base_foreach_event(base, note_timer, &timers);
	for (int i = 0; i < timers.count; i++)
		event_active(timers.events[i], EV_TIMEOUT, 0);
	run();
}

static int
obey(const char *word, int number)
{
	Peer *peer = peer_of(number);

	if (word[1] >= '0' && word[1] < '0' + CLIENTS)
		return word[1] - '0';
	if (word[1] == '.')
		run();
	else if (word[1] == 't')
		let_timers_come();
	else if (word[1] == '-')
		end_peer(peer);
	else if (word[1] == '~')
		peer->is_deaf = !peer->is_deaf;
	return number;
}

/* Commands with several replies, or with pushes that are none, or that end the connection. */
static bool
is_uncountable(const char *name)
{
	static const char *const names[] = {"SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
										"QUIT",		 "POST",	   "HOST:"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Sends a request, or does what it says; returns the client that sends the next. */
static int
send_request(Line *line, int number)
{
	Peer *peer;

	line->words = 0;
	line->frame = evbuffer_new();
	while (take_word(line))
		;
	if (line->first[0] == '@' && line->words == 1)
		number = obey(line->first, number);
	else
	{
		peer = peer_of(number);
		peer->sent++;
		if (is_uncountable(line->first))
			peer->is_countable = false;
		evbuffer_add_printf(peer->out, "*%d\r\n", line->words);
		evbuffer_add_buffer(peer->out, line->frame);
	}
	evbuffer_free(line->frame);
	return number;
}

/* ---- the gateway ---- */

static void
set_up(uint8_t flags, uint8_t mood, uint8_t seed)
{
	address.dialect = flags & 1 ? DIALECT_TUTORIAL : DIALECT_SIERRADB;
	address.esub_reply = flags & 2 ? ESUB_REPLY_BATCH : ESUB_REPLY_ID;
	/* with TLS, libevent writes by itself; it does so without TLS too */
	address.tls = !(flags & 64);
	settings.strict_versioning = flags & 4;
	settings.require_auth = flags & 8;
	settings.default_window = flags & 16 ? 2 : 0;
	/* small limits, and a store whose number of partitions is not what is expected */
	settings.output_limit = flags & 32 ? 16384 : 1 << 20;
	settings.ring_size = flags & 32 ? 4096 : 1 << 20;
	settings.max_frame_size = flags & 32 ? 4096 : 1 << 26;
	settings.max_roles = flags & 32 ? 1 : 100;
	end = !(flags & 128) ? END_CLIENTS_FIRST : seed % 2 ? END_GATEWAY_IN_TIME : END_GATEWAY_AT_ONCE;
	last_id[0] = '\0';
	fake_store_begin((FakeMood) (mood % 4), seed, flags & 32 ? 5 : 32);
	store_setup(base, NULL);
}

/* As drain_begin(). */
static void
stop_input(void)
{
	Client *next;

	for (Client *client = client_first(); client != NULL; client = next)
	{
		next = client->next;
		client_stop_input(client);
	}
}

/* A gateway that stops answers what has arrived, and closes all connections. */
static void
stop_in_time(void)
{
	for (int i = 0; i < CLIENTS; i++)
		peers[i].is_deaf = false;
	stop_input();
	run();
	for (int i = 0; i < CLIENTS; i++)
	{
		assert(peers[i].fd < 0 || peers[i].is_closed);
		if (peers[i].fd >= 0)
			end_peer(&peers[i]);
	}
	run();
	assert(client_count() == 0);
}

static void
exchange_once(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (peers[i].fd >= 0)
			exchange(&peers[i]);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The clients end first, or the gateway does, in time or without an answer to what is under way. */
static void
tear_down(void)
{
	if (end == END_CLIENTS_FIRST)
	{
		for (int i = 0; i < CLIENTS; i++)
			if (peers[i].fd >= 0)
				end_peer(&peers[i]);
		run();
	}
	else if (end == END_GATEWAY_IN_TIME)
		stop_in_time();
	else
		stop_input();
	while (client_first() != NULL)
		client_drop(client_first(), "the end of the test");
	fake_store_end_logins();
	/* clients that still had output are forgotten */
	event_base_loop(base, EVLOOP_NONBLOCK);
	store_close();
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (int i = 0; i < CLIENTS; i++)
		if (peers[i].fd >= 0)
			end_peer(&peers[i]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert(client_first() == NULL && client_count() == 0);
	fake_store_end();
}

static void
set_up_once(void)
{
	static char name[] = "fuzz";
	char *arguments[] = {name, NULL};
	SettingsError error;

	if (!settings_load(1, arguments, &error))
		abort();
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < CLIENTS; i++)
		peers[i].fd = -1;
	base = event_base_new();
	client_setup(base, command_find);
	feeds_setup();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Line line = {.at = data + 3, .end = data + size};
	int number = 0;

	if (size < 4 || size > 3000)
		return 0;
	if (base == NULL)
		set_up_once();
	set_up(data[0], data[1], data[2]);
	while (line.at < line.end)
		number = send_request(&line, number);
	/* the gateway can end while all this is under way */
	if (end == END_CLIENTS_FIRST)
		run();
	else
		exchange_once();
	for (int i = 0; i < CLIENTS && end == END_CLIENTS_FIRST; i++)
		check_replies(&peers[i]);
	tear_down();
	return 0;
}
