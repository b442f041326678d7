#include "frame_check.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Replies that the gateway writes are not deeper. */
#define MOST_DEPTH 4

/* What is read; at is NULL if the frame is not whole. */
typedef struct Frame
{
	const char *at;
	const char *end;
} Frame;

/* A line, without its end. */
static const char *
take_line(Frame *frame, size_t *length)
{
	const char *line = frame->at;
	const char *cr = memchr(line, '\r', (size_t) (frame->end - line));

	if (cr == NULL || cr + 1 == frame->end)
	{
		frame->at = NULL;
		return NULL;
	}
	*length = (size_t) (cr - line);
	assert(cr[1] == '\n' && memchr(line, '\n', *length) == NULL);
	frame->at = cr + 2;
	return line;
}

static int64_t
to_number(const char *line, size_t length)
{
	int64_t number;

	if (length == 2 && line[0] == '-' && line[1] == '1')
		return -1;
	if (!text_to_number(line, length, &number))
		abort();
	return number;
}

static void
take_bulk(Frame *frame, int64_t length)
{
	if (length < 0)
		return;
	if (frame->end - frame->at < length + 2)
	{
		frame->at = NULL;
		return;
	}
	assert(memcmp(frame->at + length, "\r\n", 2) == 0);
	frame->at += length + 2;
}

static void
check_word(char type, const char *line, size_t length)
{
	uint64_t number;

	switch (type)
	{
		case ':':
			/* also the lowest one */
			assert(text_to_uint64(line + (line[0] == '-'), length - (line[0] == '-'), &number));
			break;
		case '#':
			assert(length == 1 && (line[0] == 't' || line[0] == 'f'));
			break;
		case '_':
			assert(length == 0);
			break;
		case ',':
			assert(length > 0 && strspn(line, "0123456789.e+-") >= length);
			break;
		case '-':
			/* a code word in capitals, a blank, and what is wrong */
			assert(length > 2 && line[0] >= 'A' && line[0] <= 'Z' &&
				   memchr(line, ' ', length) != NULL);
			assert(text_is_utf8(line, length));
			break;
		default:
			assert(type == '+');
	}
}

static void
take_frame(Frame *frame, int depth)
{
	char type;
	const char *line;
	size_t length;
	int64_t number;

	assert(depth <= MOST_DEPTH);
	if (frame->at == frame->end)
		frame->at = NULL;
	if (frame->at == NULL)
		return;
	type = *frame->at++;
	line = take_line(frame, &length);
	if (line == NULL)
		return;
	if (strchr("*%>$", type) == NULL)
	{
		check_word(type, line, length);
		return;
	}
	number = to_number(line, length);
	if (type == '$')
	{
		take_bulk(frame, number);
		return;
	}
	assert(number >= 0);
	if (type == '%')
		number *= 2;
	while (number-- > 0 && frame->at != NULL)
		take_frame(frame, depth + 1);
}

void
frame_check_init(FrameCheck *check)
{
	memset(check, 0, sizeof(*check));
}

void
frame_check(FrameCheck *check, struct evbuffer *in)
{
	size_t length = evbuffer_get_length(in);
	const char *bytes = length > 0 ? (const char *) evbuffer_pullup(in, -1) : "";
	Frame frame = {bytes, bytes + length};
	const char *begin = bytes;

	while (begin < frame.end)
	{
		take_frame(&frame, 0);
		if (frame.at == NULL)
			break;
		check->replies += *begin != '>';
		if (*begin == '+' && frame.at - begin == 39)
			memcpy(check->last_id, begin + 1, 36);
		begin = frame.at;
	}
	evbuffer_drain(in, (size_t) (begin - bytes));
}
