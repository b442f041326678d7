/*
 * test_subscription.c
 *		What a subscription wants and has had: its arguments, its numbers, its window, and the
 *		ring that it reads from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/settings.h"
#include "command/subscribe_arguments.h"
#include "store/ring.h"
#include "store/source.h"
#include "store/window.h"
#include "test/tap.h"

static const int64_t sequences[] = {3, 0, 7, 1};
#define PARTITIONS 4

/* ---- arguments ---- */

/* Makes a request of a line; the words point into it. */
static void
split(char *line, Request *request, Word *words)
{
	memset(request, 0, sizeof(*request));
	request->words = words;
	for (char *word = strsep(&line, " "); word != NULL; word = strsep(&line, " "))
		words[request->count++] = (Word){word, strlen(word), WORD_STRING};
}

static bool
parse(const char *text, SubscribeArguments *arguments)
{
	char *line = mem_text(text);
	Word words[40];
	Request request;
	bool good;

	split(line, &request, words);
	good = line[1] == 'P' ? parse_epsub(&request, arguments) : parse_esub(&request, arguments);
	free(line);
	return good;
}

static void
test_errors(void)
{
	static const char *const lines[] = {
		"ESUB",
		"ESUB s PARTITION_KEY",
		"ESUB s FROM",
		"ESUB s FROM x",
		"ESUB s FROM -1",
		"ESUB s FROM MAP",
		"ESUB s FROM MAP s",
		"ESUB s FROM MAP s=",
		"ESUB s FROM MAP s=x",
		"ESUB s WINDOW",
		"ESUB s WINDOW 0",
		"ESUB s WINDOW x",
		"ESUB s WINDOW 1 FROM 1",
		"ESUB s FROM 1 FROM 2",
		"ESUB s FROM LATEST 1",
		"EPSUB",
		"EPSUB x",
		"EPSUB 65536",
		"EPSUB 1,",
		"EPSUB ,1",
		"EPSUB 3-1",
		"EPSUB 1-",
		"EPSUB -1",
		"EPSUB 1,*",
		"EPSUB * FROM x",
		"EPSUB * FROM MAP x=1",
		"EPSUB * FROM MAP 1=1 DEFAULT",
		"EPSUB * DEFAULT 1",
		"EPSUB * WINDOW 0",
		"EPSUB * *",
	};
	SubscribeArguments arguments;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
	{
		tap_ok(!parse(lines[i], &arguments) && strncmp(arguments.error, "INVALIDARG ", 11) == 0,
			   "refused: %s", lines[i]);
		source_set_free(&arguments.sources);
	}
}

static void
test_esub_arguments(void)
{
	SubscribeArguments arguments;
	const SourceSet *set = &arguments.sources;

	settings.default_window = 7;
	tap_ok(parse("ESUB FROM from a-* PARTITION_KEY k b FROM b", &arguments) == false,
		   "FROM is a stream only as the first word");
	source_set_free(&arguments.sources);
	tap_ok(parse("ESUB FROM a-* PARTITION_KEY from b b from map FROM=3 a-1=4=5 none=1 window 9",
				 &arguments) == false,
		   "the name of a MAP ends at the first '='");
	source_set_free(&arguments.sources);
	tap_ok(parse("ESUB FROM a-* PARTITION_KEY from b b from map FROM=3 a-1=4 none=1 window 9",
				 &arguments),
		   "words in any case");
	tap_ok(set->stream_count == 3 && set->pattern_count == 1, "three streams, one pattern");
	tap_ok(source_find_stream(set, "FROM", 4)->next == 3, "a stream of the MAP");
	tap_ok(source_find_stream(set, "a-1", 3)->next == 4, "one that the pattern has");
	tap_ok(source_find_stream(set, "b", 1)->is_latest, "others are at LATEST");
	tap_ok(set->pattern_from == SOURCE_LATEST, "the pattern too");
	tap_ok(source_find_stream(set, "none", 4) == NULL, "what was not asked for is left out");
	tap_ok(arguments.window == 9, "the window");
	tap_ok(source_has_numbers(set), "it reads by numbers");
	source_set_free(&arguments.sources);
	tap_ok(parse("ESUB s", &arguments) && arguments.window == 7, "the window of the settings");
	tap_ok(!source_has_numbers(set), "LATEST does not read history");
	source_set_free(&arguments.sources);
	settings.default_window = 0;
}

static void
check_next(const char *line, int64_t a, int64_t b, int64_t c, int64_t d)
{
	SubscribeArguments arguments;
	const int64_t wanted[PARTITIONS] = {a, b, c, d};
	bool good = parse(line, &arguments);

	source_resolve(&arguments.sources, sequences, PARTITIONS);
	tap_ok(good && memcmp(arguments.sources.next, wanted, sizeof(wanted)) == 0, "%s", line);
	source_set_free(&arguments.sources);
}

static void
test_epsub_arguments(void)
{
	const int64_t none = SOURCE_NEVER;

	check_next("EPSUB *", 3, 0, 7, 1);
	check_next("EPSUB * FROM 2", 2, 2, 2, 2);
	check_next("EPSUB 2", none, none, 7, none);
	check_next("EPSUB 689 FROM 0", none, none, none, none);
	check_next("EPSUB 0,2-3 FROM 5", 5, none, 5, 5);
	check_next("EPSUB 2-65535", none, none, 7, 1);
	check_next("EPSUB * FROM MAP 1=4 3=0", 3, 4, 7, 0);
	check_next("EPSUB * FROM MAP 1=4 DEFAULT 9", 9, 4, 9, 9);
	check_next("EPSUB 1 FROM MAP 1=4 2=5", none, 4, none, none);
}

/* ---- numbers ---- */

static StoreEvent
event_of(const char *stream, int64_t version, int partition, int64_t sequence)
{
	return (StoreEvent){.stream_id = stream,
						.stream_id_length = strlen(stream),
						.stream_version = version,
						.partition_id = partition,
						.partition_sequence = sequence};
}

/* Is it wanted?  If so, it is delivered. */
static bool
take(SourceSet *set, const char *stream, int64_t version, int partition, int64_t sequence)
{
	StoreEvent event = event_of(stream, version, partition, sequence);
	bool is_wanted = source_wants(set, &event);

	if (is_wanted)
		source_take(set, &event);
	return is_wanted;
}

static void
test_streams(void)
{
	SourceSet set = {.pattern_from = SOURCE_LATEST};
	char name[20];

	for (int i = 0; i < 1000; i++)
	{
		snprintf(name, sizeof(name), "s-%d", i);
		source_add_stream(&set, name, strlen(name), i);
		source_add_stream(&set, name, strlen(name), 0);
	}
	tap_ok(set.stream_count == 1000, "a stream that is named twice is one");
	tap_ok(!take(&set, "s-5", 4, 0, 0), "below the version");
	tap_ok(take(&set, "s-5", 5, 0, 0), "at the version");
	tap_ok(!take(&set, "s-5", 5, 0, 0), "once");
	tap_ok(take(&set, "s-5", 7, 0, 0) && !take(&set, "s-5", 6, 0, 0), "and never back");
	tap_ok(take(&set, "s-999", 999, 0, 0), "the last of many streams");
	tap_ok(!take(&set, "s-1000", 2000, 0, 0) && !take(&set, "s-", 2000, 0, 0), "no other stream");
	source_set_free(&set);
}

static void
test_patterns(void)
{
	static const struct
	{
		const char *pattern;
		const char *text;
		bool matches;
	} cases[] = {
		{"*", "", true},
		{"*", "abc", true},
		{"a*", "a", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"a*c", "abbc", true},
		{"a*c", "abcb", false},
		{"*a*", "xxaxx", true},
		{"*ab*ab", "abab", true},
		{"*ab*ab", "abb", false},
		{"a**b", "ab", true},
		{"a?c", "abc", false},
		{"a%", "abc", false},
		{"", "", true},
		{"", "a", false},
		{"*aab", "aaab", true},
		{"order-*", "order-", true},
		{"order-*", "orders-1", false},
	};
	SourceSet set = {.pattern_from = SOURCE_LATEST};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_ok(pattern_matches(cases[i].pattern, strlen(cases[i].pattern), cases[i].text,
							   strlen(cases[i].text)) == cases[i].matches,
			   "'%s' and '%s'", cases[i].pattern, cases[i].text);

	source_add_pattern(&set, "a-*", 3);
	source_add_stream(&set, "a-1", 3, 2);
	source_resolve(&set, sequences, PARTITIONS);
	tap_ok(!take(&set, "a-2", 0, 2, 6), "a pattern at LATEST: what was committed before");
	tap_ok(take(&set, "a-2", 0, 2, 7), "what was not");
	tap_ok(!take(&set, "b-2", 0, 2, 8), "another stream");
	tap_ok(!take(&set, "a-1", 1, 2, 9) && take(&set, "a-1", 2, 0, 0),
		   "a stream of it that has a number");
	source_set_free(&set);

	set = (SourceSet){.pattern_from = 3};
	source_add_pattern(&set, "*", 1);
	tap_ok(!take(&set, "x", 2, 0, 0) && take(&set, "x", 3, 0, 1) && take(&set, "y", 3, 0, 2),
		   "a pattern from a version on, in each stream");
	source_set_free(&set);
}

static void
test_partitions(void)
{
	SubscribeArguments arguments;
	SourceSet *set = &arguments.sources;

	parse("EPSUB 0,2 FROM MAP 0=1", &arguments);
	source_resolve(set, sequences, PARTITIONS);
	tap_ok(!take(set, "s", 9, 0, 0) && take(set, "s", 10, 0, 1) && !take(set, "s", 10, 0, 1),
		   "a partition from a sequence on");
	tap_ok(!take(set, "s", 9, 2, 6) && take(set, "s", 9, 2, 7), "another one at LATEST");
	tap_ok(!take(set, "s", 9, 1, 100) && !take(set, "s", 9, PARTITIONS, 100), "no other partition");
	source_set_free(set);
}

/* ---- the window ---- */

static void
test_window(void)
{
	Window window;

	window_init(&window, 0);
	window.cursor = 5000;
	tap_ok(window_room(&window, 100) == 100, "without a window there is room");
	window_init(&window, 2);
	tap_ok(window_room(&window, 100) == 2 && window_room(&window, 1) == 1, "a window of 2");
	window.cursor = 2;
	tap_ok(window_room(&window, 100) == 0, "it is full");
	window_acknowledge(&window, 1);
	tap_ok(window_room(&window, 100) == 2, "all is acknowledged");
	window.cursor = 3;
	window_acknowledge(&window, 0);
	tap_ok(window_room(&window, 100) == 1, "it does not move back");
	window_acknowledge(&window, 10);
	tap_ok(window_room(&window, 100) == 10, "acknowledged ahead: cursors 3 to 12");
	window_acknowledge(&window, INT64_MAX);
	tap_ok(window_room(&window, 100) == 100, "as far ahead as possible");
	window_init(&window, INT64_MAX);
	window_acknowledge(&window, INT64_MAX);
	tap_ok(window_room(&window, 100) == 100, "with the largest window");
}

/* ---- the ring ---- */

static StoreEvent *
new_event(int64_t position)
{
	StoreEvent *event = mem_zero(sizeof(StoreEvent));

	event->references = 1;
	event->global_position = position;
	event->bytes = 100;
	return event;
}

static void
test_ring(void)
{
	Ring ring = {0};
	bool found = true;

	ring_reset(&ring, 10);
	tap_ok(!ring_covers(&ring, 9) && ring_covers(&ring, 10) && ring_covers(&ring, 50),
		   "an empty ring has what comes");
	tap_ok(ring_find(&ring, 10) == 0, "and nothing in it");
	for (int64_t position = 12; position < 1000; position += 2)
	{
		ring_add(&ring, new_event(position));
		ring_trim(&ring, 5000);
	}
	tap_ok(ring.count == 50 && ring.bytes == 5000 && ring.end == 998, "the newest are in it");
	tap_ok(!ring_covers(&ring, 897) && ring_covers(&ring, 898), "it knows where it begins");
	for (int64_t position = 898; position < 998; position++)
	{
		size_t place = ring_find(&ring, position);

		if (ring_at(&ring, place)->global_position != position + 2 - position % 2)
			found = false;
	}
	tap_ok(found, "each position is found");
	tap_ok(ring_find(&ring, 998) == 50 && ring_find(&ring, 2000) == 50, "none behind the end");
	ring_reach(&ring, 1500);
	ring_reach(&ring, 1400);
	tap_ok(ring.end == 1500, "positions without events");
	ring_trim(&ring, 0);
	tap_ok(ring.count == 0 && !ring_covers(&ring, 997) && ring_covers(&ring, 998),
		   "a ring without room");
	ring_free(&ring);
}

void
test_subscription(void)
{
	test_errors();
	test_esub_arguments();
	test_epsub_arguments();
	test_streams();
	test_patterns();
	test_partitions();
	test_window();
	test_ring();
}
