/*
 * test_request.c
 *		The parser of requests, however the bytes arrive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "frame/request.h"
#include "test/tap.h"

#define BYTES(literal) literal, sizeof(literal) - 1

static const RequestLimits limits = {.max_frame_size = 4096, .max_words = 20};

/* A transcript of what the parser finds: words as <word>, requests ended by a semicolon. */
static void
note(char *seen, size_t size, const char *format, size_t length, const char *word)
{
	size_t used = strlen(seen);

	snprintf(seen + used, size - used, format, (int) length, word);
}

static ParseStatus
take_all(RequestParser *parser, struct evbuffer *in, char *seen, size_t size)
{
	for (;;)
	{
		Request *request;
		ParseStatus status = request_parse(parser, in, &limits, &request);

		if (status == PARSE_EMPTY)
			note(seen, size, "%.*sempty;", 0, "");
		else if (status != PARSE_REQUEST)
			return status;
		else
		{
			static const char *const marks[] = {"<%.*s>", "#%.*s>", "?%.*s>"};

			for (int i = 0; i < request->count; i++)
				note(seen, size, marks[request->words[i].type], request->words[i].length,
					 request->words[i].data);
			note(seen, size, "%.*s;", 0, "");
			request_free(request);
		}
	}
}

/* Feeds bytes in pieces: the first of this length, the rest in steps. */
static void
feed(const char *bytes, size_t length, size_t first, size_t step, char *seen, size_t size,
	 char *error)
{
	struct evbuffer *in = evbuffer_new();
	RequestParser parser;
	ParseStatus status = PARSE_MORE;
	size_t at = 0;

	seen[0] = error[0] = '\0';
	request_parser_init(&parser);
	while (at < length && status != PARSE_ERROR)
	{
		size_t piece = at == 0 && first > 0 ? first : step;

		if (piece > length - at)
			piece = length - at;
		evbuffer_add(in, bytes + at, piece);
		at += piece;
		status = take_all(&parser, in, seen, size);
	}
	if (status == PARSE_ERROR)
		snprintf(error, sizeof(parser.error), "%s", parser.error);
	request_parser_reset(&parser);
	evbuffer_free(in);
}

/* The same words, wherever the bytes are cut. */
static void
requests(const char *bytes, size_t length, const char *wanted)
{
	char seen[2000];
	char error[200];
	bool same = true;

	feed(bytes, length, 0, length, seen, sizeof(seen), error);
	tap_text(seen, wanted, wanted);
	for (size_t cut = 1; cut < length; cut++)
	{
		feed(bytes, length, cut, length, seen, sizeof(seen), error);
		same = same && strcmp(seen, wanted) == 0 && error[0] == '\0';
	}
	feed(bytes, length, 0, 1, seen, sizeof(seen), error);
	tap_ok(same && strcmp(seen, wanted) == 0, "the same, cut at each byte and byte by byte: %s",
		   wanted);
}

/* An error with this in its text, also byte by byte. */
static void
malformed(const char *bytes, size_t length, const char *wanted)
{
	char seen[2000];
	char error[200];

	feed(bytes, length, 0, length, seen, sizeof(seen), error);
	tap_ok(strstr(error, wanted) != NULL, "malformed: %s (%s)", wanted, error);
	feed(bytes, length, 0, 1, seen, sizeof(seen), error);
	tap_ok(strstr(error, wanted) != NULL, "byte by byte: %s (%s)", wanted, error);
}

static void
test_frames(void)
{
	requests(BYTES("*1\r\n$4\r\nPING\r\n"), "<PING>;");
	requests(BYTES("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"), "<ECHO><>;");
	requests(BYTES("*3\r\n+a b\r\n:-5\r\n(123456789012345678901\r\n"),
			 "<a b>#-5>#123456789012345678901>;");
	requests(BYTES("*2\r\n=7\r\ntxt:abc\r\n$2\r\n\r\n\r\n"), "<abc><\r\n>;");
	requests(BYTES("*3\r\n_\r\n#t\r\n,1.5\r\n"), "?>?t>?1.5>;");
	requests(BYTES("*0\r\n*1\r\n$1\r\na\r\n"), "empty;<a>;");
	requests(BYTES("*1\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\nPING\r\n"), "<a>;<b><c>;<PING>;");
}

static void
test_inline(void)
{
	requests(BYTES("PING\r\n"), "<PING>;");
	requests(BYTES("  set  a\tb \n\r\n\n"), "<set><a><b>;;;");
	requests(BYTES("a \"b \\\"c\\\" \\x41\\n\\q\" 'd \\' \\n' \"\"\r\n"),
			 "<a><b \"c\" A\nq><d ' \\n><>;");
	requests(BYTES("a b\"c d\"\r\n"), "<a><bc d>;");
	malformed(BYTES("a \"b\r\n"), "unbalanced quotes");
	malformed(BYTES("a 'b'c\r\n"), "unbalanced quotes");
	malformed(BYTES("a \"b\\\r\n"), "unbalanced quotes");
	malformed(BYTES("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21\r\n"), "too many words");
}

static void
test_malformed(void)
{
	malformed(BYTES("+PING\r\n"), "expected array command");
	malformed(BYTES("$4\r\nPING\r\n"), "expected array command");
	malformed(BYTES("%1\r\n+a\r\n+b\r\n"), "expected array command");
	malformed(BYTES("*-1\r\n"), "number of elements");
	malformed(BYTES("*\r\n"), "number of elements");
	malformed(BYTES("*?\r\n"), "number of elements");
	malformed(BYTES("*+1\r\n"), "number of elements");
	malformed(BYTES("*99999999999999999999\r\n"), "number of elements");
	malformed(BYTES("*21\r\n"), "max_words");
	malformed(BYTES("*1\r\n$-1\r\n"), "length of a string");
	malformed(BYTES("*1\r\n$x\r\n"), "length of a string");
	malformed(BYTES("*1\r\n$18446744073709551615\r\n"), "max_frame_size");
	malformed(BYTES("*1\r\n$4097\r\n"), "max_frame_size");
	malformed(BYTES("*1\r\n$1\r\nab\r\n"), "longer than its length");
	malformed(BYTES("*1\r\n*1\r\n$1\r\na\r\n"), "expected a string");
	malformed(BYTES("*1\r\n%0\r\n"), "expected a string");
	malformed(BYTES("*1\r\n\r\n"), "expected a string");
	malformed(BYTES("*1\r\n=3\r\ntxt\r\n"), "verbatim");
	malformed(BYTES("*1\r\n=4\r\ntxta\r\n"), "verbatim");
	/* 64 bytes are the most */
	requests(
		BYTES("*000000000000000000000000000000000000000000000000000000000000001\r\n$1\r\na\r\n"),
		"<a>;");
	malformed(BYTES("*0000000000000000000000000000000000000000000000000000000000000001\r\n"),
			  "line longer");
}

/* A line without an end, and a frame that is too large only as a whole. */
static void
test_limits(void)
{
	size_t length = 70000;
	char *line = mem_alloc(length + 10);
	char many[20 * 310 + 10];
	size_t used;

	memset(line, 'a', length);
	malformed(line, length, "inline command longer");
	memcpy(line, "*1\r\n+", 5);
	malformed(line, length, "line longer");
	free(line);

	used = (size_t) snprintf(many, sizeof(many), "*20\r\n");
	for (int i = 0; i < 20; i++)
		used += (size_t) snprintf(many + used, sizeof(many) - used, "$300\r\n%0300d\r\n", i);
	malformed(many, used, "max_frame_size");
}

void
test_request(void)
{
	test_frames();
	test_inline();
	test_malformed();
	test_limits();
}
