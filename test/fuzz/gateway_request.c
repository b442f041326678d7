/*
 * gateway_request.c
 *		libFuzzer: the bytes of a client, in one piece and in many pieces.
 *
 * Wherever the bytes are cut, the requests must be the same, and words must lie within
 * their request.  ASan and UBSan watch the memory.
 *
 * sources: frame/request.c frame/inline_request.c base/memory.c base/text.c
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "frame/request.h"

/* The words of all requests, one after the other, and how it ended. */
typedef struct Outcome
{
	struct evbuffer *words;
	ParseStatus end;
	int requests;
} Outcome;

static void
note_request(Outcome *outcome, const Request *request)
{
	for (int i = 0; i < request->count; i++)
	{
		const Word *word = &request->words[i];

		assert(word->data[word->length] == '\0');
		evbuffer_add(outcome->words, &word->type, sizeof(word->type));
		evbuffer_add(outcome->words, &word->length, sizeof(word->length));
		evbuffer_add(outcome->words, word->data, word->length);
	}
	outcome->requests++;
}

/* Parses what is there.  A client that has made an error is not read again. */
static void
parse_all(RequestParser *parser, struct evbuffer *in, const RequestLimits *limits, Outcome *outcome)
{
	while (outcome->end != PARSE_ERROR)
	{
		Request *request = NULL;
		ParseStatus status = request_parse(parser, in, limits, &request);

		if (status == PARSE_MORE)
			break;
		if (status == PARSE_REQUEST)
		{
			assert(request->count <= limits->max_words);
			assert(request->bytes <= limits->max_frame_size + 65536 + sizeof(Request));
			note_request(outcome, request);
			request_free(request);
		}
		else if (status == PARSE_EMPTY)
			evbuffer_add(outcome->words, "empty", 5);
		else
			outcome->end = PARSE_ERROR;
	}
}

/* step 0: in one piece; else pieces whose lengths come from a generator that begins with it. */
static Outcome
parse_pieces(const uint8_t *data, size_t size, const RequestLimits *limits, uint32_t step)
{
	Outcome outcome = {evbuffer_new(), PARSE_MORE, 0};
	struct evbuffer *in = evbuffer_new();
	RequestParser parser;
	size_t at = 0;

	request_parser_init(&parser);
	while (at < size && outcome.end != PARSE_ERROR)
	{
		size_t length = size - at;

		if (step > 0)
		{
			step = step * 1664525u + 1013904223u;
			if (step == 0)
				step = 1;
			if ((step >> 24) % 17 + 1 < length)
				length = (step >> 24) % 17 + 1;
		}
		evbuffer_add(in, data + at, length);
		at += length;
		parse_all(&parser, in, limits, &outcome);
	}
	request_parser_reset(&parser);
	evbuffer_free(in);
	return outcome;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const RequestLimits all_limits[] = {{1 << 20, 1000}, {200, 5}, {4096, 100000}, {1, 1}};
	const RequestLimits *limits;
	Outcome whole;
	Outcome pieces;
	size_t length;

	if (size < 2)
		return 0;
	limits = &all_limits[data[0] % 4];
	whole = parse_pieces(data + 2, size - 2, limits, 0);
	pieces = parse_pieces(data + 2, size - 2, limits, data[1] + 1u);
	assert(whole.end == pieces.end && whole.requests == pieces.requests);
	length = evbuffer_get_length(whole.words);
	assert(length == evbuffer_get_length(pieces.words));
	if (length > 0)
		assert(memcmp(evbuffer_pullup(whole.words, -1), evbuffer_pullup(pieces.words, -1), length) == 0);
	evbuffer_free(whole.words);
	evbuffer_free(pieces.words);
	return 0;
}
