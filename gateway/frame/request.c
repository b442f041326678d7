#include "frame/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "frame/inline_request.h"

/* A line that begins an array or a word has a type, a sign and digits. */
#define MAX_HEADER_LINE 64
/* A line that is a word by itself, such as a simple string. */
#define MAX_LINE 65536

void
request_parser_init(RequestParser *parser)
{
	memset(parser, 0, sizeof(*parser));
	parser->word_length = -1;
}

void
request_free(Request *request)
{
	if (request == NULL)
		return;
	free(request->words);
	free(request->data);
	free(request);
}

void
request_parser_reset(RequestParser *parser)
{
	request_free(parser->request);
	request_parser_init(parser);
}

static ParseStatus __attribute__((format(printf, 2, 3)))
fail(RequestParser *parser, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(parser->error, sizeof(parser->error), format, arguments);
	va_end(arguments);
	return PARSE_ERROR;
}

static ParseStatus
line_too_long(RequestParser *parser, size_t max)
{
	return fail(parser, "line longer than %zu bytes", max);
}

/*
 * Looks for the end of the line that in begins with.  *length is without the end.
 * A line that is longer than MAX_LINE is an error, also before its end has come.
 */
static ParseStatus
find_line(RequestParser *parser, struct evbuffer *in, size_t *length)
{
	struct evbuffer_ptr end;
	size_t have = evbuffer_get_length(in);
	size_t end_length = 0;

	end = evbuffer_search_eol(in, NULL, &end_length, EVBUFFER_EOL_CRLF_STRICT);
	/* of an end that has not come whole, the CR may be there */
	if (end.pos < 0 ? have > MAX_LINE + 1 : (size_t) end.pos > MAX_LINE)
		return line_too_long(parser, MAX_LINE);
	if (end.pos < 0)
		return PARSE_MORE;
	*length = (size_t) end.pos;
	return PARSE_REQUEST;
}

/*
 * Takes a line of at most MAX_HEADER_LINE bytes; text, which has room for its end, is without it.
 * There is one before each word, so it is looked for in a copy: that costs the least.
 */
static ParseStatus
take_header(RequestParser *parser, struct evbuffer *in, char *text, size_t *length)
{
	size_t have = (size_t) evbuffer_copyout(in, text, MAX_HEADER_LINE + 2);

	for (size_t at = 0; at + 1 < have; at++)
	{
		if (text[at] != '\r' || text[at + 1] != '\n')
			continue;
		evbuffer_drain(in, at + 2);
		text[at] = '\0';
		*length = at;
		return PARSE_REQUEST;
	}
	return have < MAX_HEADER_LINE + 2 ? PARSE_MORE : line_too_long(parser, MAX_HEADER_LINE);
}

/* Makes room for a word of this length, if the request may still grow by it. */
static bool
make_room(RequestParser *parser, const RequestLimits *limits, size_t length)
{
	Request *request = parser->request;
	size_t need;

	/* each word counts its entry too, so that empty words have an end */
	if (length > limits->max_frame_size ||
		request->bytes + length + sizeof(Word) > limits->max_frame_size)
		return false;
	request->bytes += length + sizeof(Word);

	if (request->count == parser->words_allocated)
	{
		parser->words_allocated = parser->words_allocated > 0 ? 2 * parser->words_allocated : 8;
		request->words = mem_resize(request->words, parser->words_allocated * sizeof(Word));
	}
	need = parser->data_used + length + 1;
	if (need > parser->data_allocated)
	{
		size_t size = 2 * parser->data_allocated;

		parser->data_allocated = need > size ? need : size;
		if (parser->data_allocated < 256)
			parser->data_allocated = 256;
		request->data = mem_resize(request->data, parser->data_allocated);
	}
	return true;
}

static ParseStatus
frame_too_large(RequestParser *parser, const RequestLimits *limits)
{
	return fail(parser, "a command of more than %zu bytes (max_frame_size)",
				limits->max_frame_size);
}

/*
 * Takes the next length bytes as a word.  While the request grows, its data may move:
 * a word gets its address when the request is whole.
 */
static ParseStatus
take_word(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits, size_t length,
		  WordType type)
{
	Request *request = parser->request;
	Word *word;

	if (!make_room(parser, limits, length))
		return frame_too_large(parser, limits);
	word = &request->words[request->count++];
	word->data = NULL;
	word->length = length;
	word->type = type;
	evbuffer_remove(in, request->data + parser->data_used, length);
	request->data[parser->data_used + length] = '\0';
	parser->data_used += length + 1;
	return PARSE_REQUEST;
}

/* Gives out the request that is whole now. */
static Request *
finish(RequestParser *parser)
{
	Request *request = parser->request;
	char *at = request->data;

	for (int i = 0; i < request->count; i++)
	{
		request->words[i].data = at;
		at += request->words[i].length + 1;
	}
	parser->request = NULL;
	request_parser_init(parser);
	return request;
}

static void
begin(RequestParser *parser)
{
	parser->request = mem_zero(sizeof(Request));
	parser->request->bytes = sizeof(Request);
}

/* The length behind a type: digits only, so neither negative nor streamed. */
static bool
parse_length(const char *line, size_t length, uint64_t *value)
{
	return length > 1 && line[1] != '+' && text_to_uint64(line + 1, length - 1, value);
}

/* "*N": begins a request of N words. */
static ParseStatus
begin_array(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits)
{
	char line[MAX_HEADER_LINE + 2];
	size_t length;
	uint64_t count;
	ParseStatus status = take_header(parser, in, line, &length);

	if (status != PARSE_REQUEST)
		return status;
	if (!parse_length(line, length, &count))
		return fail(parser, "invalid number of elements");
	if (count > (uint64_t) limits->max_words)
		return fail(parser, "a command of more than %d words (max_words)", limits->max_words);
	if (count == 0)
		return PARSE_EMPTY;
	begin(parser);
	parser->words_left = (int) count;
	return PARSE_REQUEST;
}

/* "$N" and "=N": notes how long the word will be. */
static ParseStatus
begin_bulk(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits, char type)
{
	char line[MAX_HEADER_LINE + 2];
	size_t length;
	uint64_t size;
	ParseStatus status = take_header(parser, in, line, &length);

	if (status != PARSE_REQUEST)
		return status;
	if (!parse_length(line, length, &size))
		return fail(parser, "invalid length of a string");
	if (size > limits->max_frame_size)
		return frame_too_large(parser, limits);
	parser->word_length = (int64_t) size;
	parser->is_verbatim = type == '=';
	return PARSE_REQUEST;
}

/* Takes the bytes that begin_bulk() noted, when all have come. */
static ParseStatus
take_bulk(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits)
{
	size_t length = (size_t) parser->word_length;
	char end[2];
	ParseStatus status;

	if (evbuffer_get_length(in) < length + 2)
		return PARSE_MORE;
	if (parser->is_verbatim)
	{
		char format[4];

		if (length < sizeof(format) || evbuffer_remove(in, format, 4) != 4 || format[3] != ':')
			return fail(parser, "invalid verbatim string");
		length -= sizeof(format);
	}
	status = take_word(parser, in, limits, length, WORD_STRING);
	if (status != PARSE_REQUEST)
		return status;
	evbuffer_remove(in, end, 2);
	if (end[0] != '\r' || end[1] != '\n')
		return fail(parser, "a string is longer than its length");
	parser->word_length = -1;
	parser->words_left--;
	return PARSE_REQUEST;
}

/* A word that is the rest of its line. */
static ParseStatus
take_line(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits, WordType type)
{
	size_t length = 0;
	ParseStatus status = find_line(parser, in, &length);

	if (status != PARSE_REQUEST)
		return status;
	evbuffer_drain(in, 1);
	status = take_word(parser, in, limits, length - 1, type);
	if (status != PARSE_REQUEST)
		return status;
	evbuffer_drain(in, 2);
	parser->words_left--;
	return PARSE_REQUEST;
}

static ParseStatus
take_element(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits)
{
	char type;

	if (parser->word_length >= 0)
		return take_bulk(parser, in, limits);
	if (evbuffer_copyout(in, &type, 1) < 1)
		return PARSE_MORE;
	switch (type)
	{
		case '$':
		case '=':
			return begin_bulk(parser, in, limits, type);
		case '+':
			return take_line(parser, in, limits, WORD_STRING);
		case ':':
		case '(':
			return take_line(parser, in, limits, WORD_NUMBER);
		case '_':
		case '#':
		case ',':
			return take_line(parser, in, limits, WORD_OTHER);
		default:
			/* nothing that is an argument has elements, so nothing is nested */
			return fail(parser, "expected a string in a command, got '%c'",
						type > 32 && type < 127 ? type : '?');
	}
}

/* A line that is a whole command, as a person types it. */
static ParseStatus
take_inline(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits)
{
	struct evbuffer_ptr end;
	size_t end_length;
	char *line;
	const char *error;

	end = evbuffer_search_eol(in, NULL, &end_length, EVBUFFER_EOL_CRLF);
	if (end.pos < 0 ? evbuffer_get_length(in) > MAX_LINE + 1 : end.pos > MAX_LINE)
		return fail(parser, "inline command longer than %d bytes", MAX_LINE);
	if (end.pos < 0)
		return PARSE_MORE;
	line = mem_alloc((size_t) end.pos + 1);
	evbuffer_remove(in, line, (size_t) end.pos);
	evbuffer_drain(in, end_length);
	begin(parser);
	error = inline_request_split(line, (size_t) end.pos, limits, parser->request);
	if (error != NULL)
		return fail(parser, "%s", error);
	return PARSE_REQUEST;
}

/* What begins a request: an array, or a line.  Another type of RESP is neither. */
static ParseStatus
begin_request(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits)
{
	char type;

	if (evbuffer_copyout(in, &type, 1) < 1)
		return PARSE_MORE;
	if (type == '*')
		return begin_array(parser, in, limits);
	if (strchr("$=+-:(_#,!%~>|", type) != NULL && type != '\0')
		return fail(parser, "expected array command");
	return take_inline(parser, in, limits);
}

ParseStatus
request_parse(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits,
			  Request **request)
{
	ParseStatus status = PARSE_REQUEST;

	if (parser->request == NULL)
		status = begin_request(parser, in, limits);
	while (status == PARSE_REQUEST && parser->words_left > 0)
		status = take_element(parser, in, limits);
	if (status == PARSE_REQUEST)
		*request = finish(parser);
	return status;
}
