#include "frame/reply.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "frame/put.h"

void
reply_begin(Reply *reply, struct evbuffer *out, int protocol)
{
	reply->out = out;
	reply->protocol = protocol;
	reply->used = 0;
	reply->size = sizeof(reply->buffer);
	reply->data = reply->buffer;
}

static void
free_data(const void *data, size_t length, void *arg)
{
	(void) data;
	(void) length;
	free(arg);
}

void
reply_flush(Reply *reply)
{
	/* libevent copies a little, and takes over what was allocated */
	if (reply->data == reply->buffer)
	{
		if (reply->used > 0)
			evbuffer_add(reply->out, reply->data, reply->used);
	}
	else if (evbuffer_add_reference(reply->out, reply->data, reply->used, free_data, reply->data) !=
			 0)
		abort();
	reply_begin(reply, reply->out, reply->protocol);
}

void
reply_collect(Reply *part, int protocol)
{
	reply_begin(part, NULL, protocol);
}

void
reply_collected(Reply *reply, Reply *part)
{
	reply_flush(reply);
	part->out = reply->out;
	reply_flush(part);
}

void
reply_discard(Reply *part)
{
	if (part->data != part->buffer)
		free(part->data);
	reply_begin(part, NULL, part->protocol);
}

static void
grow(Reply *reply, size_t size)
{
	size_t need = reply->used + size;
	bool is_first = reply->data == reply->buffer;

	reply->size = need > 2 * reply->size ? need : 2 * reply->size;
	reply->data = mem_resize(is_first ? NULL : reply->data, reply->size);
	if (is_first)
		memcpy(reply->data, reply->buffer, reply->used);
}

char *
reply_room(Reply *reply, size_t size)
{
	if (size > reply->size - reply->used)
	{
		if (reply->out != NULL)
			reply_flush(reply);
		if (size > reply->size - reply->used)
			grow(reply, size);
	}
	return reply->data + reply->used;
}

static void
add(Reply *reply, const void *bytes, size_t length)
{
	reply_filled(reply, put_bytes(reply_room(reply, length), bytes, length));
}

/* A line of a type and a number: lengths, and integers. */
static void
add_number(Reply *reply, char type, int64_t value)
{
	reply_filled(reply, put_number(reply_room(reply, PUT_NUMBER_SIZE), type, value));
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
	reply_filled(reply, put_bulk(reply_room(reply, PUT_BULK_SIZE + length), bytes, length));
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

	memcpy(copy.bytes, uuid, sizeof(copy.bytes));
	reply_filled(reply, put_uuid(reply_room(reply, PUT_UUID_SIZE), &copy));
}

void
reply_error(Reply *reply, const char *format, ...)
{
	char text[1024];
	char printable[1024];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0)
		length = snprintf(text, sizeof(text), "ERR internal error");
	if ((size_t) length >= sizeof(text))
		length = sizeof(text) - 1;
	for (int i = 0; i < length; i++)
		if ((unsigned char) text[i] < 32)
			text[i] = ' ';
	/* cut within a letter, or of a server that has no other encoding yet, it would not be UTF-8 */
	text_printable(text, (size_t) length, printable, sizeof(printable));
	add_line(reply, '-', printable, strlen(printable));
}
