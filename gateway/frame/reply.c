#include "frame/reply.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/uuid.h"

void
reply_begin(Reply *reply, struct evbuffer *out, int protocol)
{
	reply->out = out;
	reply->protocol = protocol;
	reply->used = 0;
}

void
reply_flush(Reply *reply)
{
	if (reply->used > 0)
		evbuffer_add(reply->out, reply->buffer, reply->used);
	reply->used = 0;
}

static void
add(Reply *reply, const void *bytes, size_t length)
{
	if (length > sizeof(reply->buffer) - reply->used)
	{
		reply_flush(reply);
		if (length > sizeof(reply->buffer))
		{
			evbuffer_add(reply->out, bytes, length);
			return;
		}
	}
	if (length > 0)
		memcpy(reply->buffer + reply->used, bytes, length);
	reply->used += length;
}

/* A line of a type and a number: lengths, and integers. */
static void
add_number(Reply *reply, char type, int64_t value)
{
	char line[INT64_TEXT_SIZE + 3];
	size_t length;

	line[0] = type;
	length = 1 + text_of_int64(value, line + 1);
	line[length++] = '\r';
	line[length++] = '\n';
	add(reply, line, length);
}

/* A line of text, of which CR and LF would be the end. */
static void
add_line(Reply *reply, char type, const char *text, size_t length)
{
	add(reply, &type, 1);
	while (length > 0)
	{
		size_t clean = 0;

		while (clean < length && text[clean] != '\r' && text[clean] != '\n')
			clean++;
		add(reply, text, clean);
		if (clean < length)
		{
			add(reply, " ", 1);
			clean++;
		}
		text += clean;
		length -= clean;
	}
	add(reply, "\r\n", 2);
}

void
reply_map(Reply *reply, int64_t pairs)
{
	if (reply->protocol >= 3)
		add_number(reply, '%', pairs);
	else
		add_number(reply, '*', 2 * pairs);
}

void
reply_array(Reply *reply, int64_t elements)
{
	add_number(reply, '*', elements);
}

void
reply_push(Reply *reply, int64_t elements)
{
	add_number(reply, '>', elements);
}

void
reply_key(Reply *reply, const char *name)
{
	add(reply, "+", 1);
	add(reply, name, strlen(name));
	add(reply, "\r\n", 2);
}

void
reply_simple(Reply *reply, const char *text)
{
	add_line(reply, '+', text, strlen(text));
}

void
reply_simple_bytes(Reply *reply, const char *text, size_t length)
{
	add_line(reply, '+', text, length);
}

void
reply_bulk(Reply *reply, const void *bytes, size_t length)
{
	add_number(reply, '$', (int64_t) length);
	add(reply, bytes, length);
	add(reply, "\r\n", 2);
}

void
reply_bulk_text(Reply *reply, const char *text)
{
	reply_bulk(reply, text, strlen(text));
}

void
reply_integer(Reply *reply, int64_t value)
{
	add_number(reply, ':', value);
}

void
reply_boolean(Reply *reply, bool value)
{
	if (reply->protocol >= 3)
		add(reply, value ? "#t\r\n" : "#f\r\n", 4);
	else
		reply_integer(reply, value);
}

void
reply_double(Reply *reply, double value)
{
	char text[40];

	if (isnan(value))
		snprintf(text, sizeof(text), "nan");
	else if (isinf(value))
		snprintf(text, sizeof(text), value > 0 ? "inf" : "-inf");
	else
		snprintf(text, sizeof(text), "%.17g", value);
	if (reply->protocol >= 3)
		add_line(reply, ',', text, strlen(text));
	else
		reply_bulk_text(reply, text);
}

void
reply_null(Reply *reply)
{
	/* RESP3 has one null; some clients fail at the one of RESP2 there */
	if (reply->protocol >= 3)
		add(reply, "_\r\n", 3);
	else
		add(reply, "$-1\r\n", 5);
}

void
reply_uuid(Reply *reply, const uint8_t *uuid)
{
	Uuid copy;
	char line[1 + UUID_TEXT_SIZE + 2];

	memcpy(copy.bytes, uuid, sizeof(copy.bytes));
	line[0] = '+';
	uuid_text(&copy, line + 1);
	memcpy(line + UUID_TEXT_SIZE, "\r\n", 2);
	add(reply, line, UUID_TEXT_SIZE + 2);
}

void
reply_error(Reply *reply, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0)
		length = snprintf(text, sizeof(text), "ERR internal error");
	if ((size_t) length >= sizeof(text))
		length = sizeof(text) - 1;
	add_line(reply, '-', text, (size_t) length);
}
