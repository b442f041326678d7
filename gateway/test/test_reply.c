/*
 * test_reply.c
 *		The writer of replies: its bytes, and what hiredis reads from them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/memory.h"
#include "base/text.h"
#include "frame/reply.h"
#include "test/tap.h"

/* One of each type; RESP2 has fewer. */
static void
write_all(Reply *reply)
{
	static const uint8_t uuid[16] = {0xed, 0x38, 0x9b, 0x27, 0x52, 0xa3, 0x5d, 0x70,
									 0x90, 0x99, 0x7a, 0x11, 0x54, 0x7b, 0x8e, 0x8c};

	reply_array(reply, 10);
	reply_map(reply, 1);
	reply_key(reply, "key");
	reply_integer(reply, -1);
	reply_simple(reply, "a\r\nb");
	reply_simple_bytes(reply, "c\nd", 3);
	reply_bulk(reply, "\0\r\n", 3);
	reply_bulk_text(reply, "");
	reply_boolean(reply, true);
	reply_double(reply, 0.5);
	reply_null(reply);
	reply_uuid(reply, uuid);
	reply_error(reply, "ERR line %d\nline 2", 1);
}

static void
test_bytes(int protocol, const char *wanted, size_t length)
{
	struct evbuffer *out = evbuffer_new();
	Reply reply;

	reply_begin(&reply, out, protocol);
	write_all(&reply);
	reply_end(&reply);
	tap_bytes(evbuffer_pullup(out, -1), evbuffer_get_length(out), wanted, length,
			  "RESP%d, byte by byte", protocol);
	evbuffer_free(out);
}

static redisReply *
read_reply(struct evbuffer *out)
{
	redisReader *reader = redisReaderCreate();
	void *found = NULL;
	size_t length = evbuffer_get_length(out);

	if (redisReaderFeed(reader, (const char *) evbuffer_pullup(out, -1), length) != REDIS_OK ||
		redisReaderGetReply(reader, &found) != REDIS_OK)
		found = NULL;
	redisReaderFree(reader);
	return found;
}

/* Debian's hiredis reads RESP2; RESP3 is judged by the clients of test/gateway. */
static void
test_hiredis(void)
{
	static const int wanted[10] = {REDIS_REPLY_ARRAY,  REDIS_REPLY_STATUS, REDIS_REPLY_STATUS,
								   REDIS_REPLY_STRING, REDIS_REPLY_STRING, REDIS_REPLY_INTEGER,
								   REDIS_REPLY_STRING, REDIS_REPLY_NIL,	   REDIS_REPLY_STATUS,
								   REDIS_REPLY_ERROR};
	struct evbuffer *out = evbuffer_new();
	Reply reply;
	redisReply *found;

	reply_begin(&reply, out, 2);
	write_all(&reply);
	reply_end(&reply);
	found = read_reply(out);
	tap_ok(found != NULL && found->type == REDIS_REPLY_ARRAY && found->elements == 10,
		   "hiredis: an array of ten");
	for (int i = 0; i < 10; i++)
		tap_ok(found->element[i]->type == wanted[i], "hiredis: type of element %d", i);
	tap_ok(found->element[0]->elements == 2, "hiredis: a map is an array of keys and values");
	tap_ok(found->element[3]->len == 3, "hiredis: bytes");
	freeReplyObject(found);
	evbuffer_free(out);
}

/* Around the size of the writer's own buffer. */
static void
test_sizes(void)
{
	struct evbuffer *out = evbuffer_new();
	char *bytes = mem_zero(5000);
	bool good = true;
	Reply reply;

	for (size_t size = 1900; size < 4200; size++)
	{
		redisReply *found;

		reply_begin(&reply, out, 2);
		reply_array(&reply, 3);
		reply_integer(&reply, 7);
		reply_bulk(&reply, bytes, size);
		reply_key(&reply, "end");
		reply_end(&reply);
		found = read_reply(out);
		good = good && found != NULL && found->elements == 3 && found->element[1]->len == size &&
			   strcmp(found->element[2]->str, "end") == 0;
		freeReplyObject(found);
		evbuffer_drain(out, evbuffer_get_length(out));
	}
	tap_ok(good, "strings of all sizes around that of the buffer");
	free(bytes);
	evbuffer_free(out);
}

/* A part that is collected, behind what has been written. */
static void
test_parts(void)
{
	static const int sizes[] = {0, 1, 100, 700};
	struct evbuffer *out = evbuffer_new();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		redisReply *found;
		Reply reply;
		Reply part;

		reply_collect(&part, 2);
		for (int n = 0; n < sizes[i]; n++)
			reply_bulk(&part, "0123456789", n % 10);
		reply_begin(&reply, out, 2);
		reply_array(&reply, sizes[i] + 1);
		reply_integer(&reply, 7);
		reply_collected(&reply, &part);
		reply_end(&reply);
		reply_discard(&part);
		found = read_reply(out);
		tap_ok(found != NULL && found->elements == (size_t) sizes[i] + 1 &&
				   found->element[0]->integer == 7 &&
				   found->element[sizes[i]]->len ==
					   (size_t) (sizes[i] > 0 ? (sizes[i] - 1) % 10 : 0),
			   "a part of %d elements behind another", sizes[i]);
		freeReplyObject(found);
		evbuffer_drain(out, evbuffer_get_length(out));
	}
	evbuffer_free(out);
}

/* What has been collected is freed with the part, as the sanitizer checks. */
static void
test_discarded_part(void)
{
	Reply part;

	reply_collect(&part, 3);
	for (int n = 0; n < 1000; n++)
		reply_integer(&part, n);
	reply_discard(&part);
	tap_ok(part.used == 0, "a part that is discarded");
}

static void
test_doubles(void)
{
	static const double values[] = {INFINITY, -INFINITY, NAN};
	static const char *const wanted[] = {",inf\r\n", ",-inf\r\n", ",nan\r\n"};

	for (size_t i = 0; i < 3; i++)
	{
		struct evbuffer *out = evbuffer_new();
		Reply reply;

		reply_begin(&reply, out, 3);
		reply_double(&reply, values[i]);
		reply_end(&reply);
		tap_bytes(evbuffer_pullup(out, -1), evbuffer_get_length(out), wanted[i], strlen(wanted[i]),
				  "double, number %zu", i);
		evbuffer_free(out);
	}
}

/* Clients read an error as UTF-8, whatever it says and wherever it is cut. */
static void
test_errors(void)
{
	struct evbuffer *out = evbuffer_new();
	bool good = true;
	char text[3001];
	Reply reply;

	for (size_t first = 0; first < 2; first++)
	{
		size_t length;
		const char *line;

		memset(text, 'a', first);
		for (size_t i = first; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\xc3\xa4", 2);
		text[2999] = '\0';
		reply_begin(&reply, out, 3);
		reply_error(&reply, "ERR %s", text);
		reply_end(&reply);
		length = evbuffer_get_length(out);
		line = (const char *) evbuffer_pullup(out, -1);
		good = good && length > 1000 && length < 1100 && text_is_utf8(line, length);
		evbuffer_drain(out, length);
	}
	tap_ok(good, "errors are not cut within a letter");
	reply_begin(&reply, out, 3);
	reply_error(&reply, "ERR \xff\t\xc3");
	reply_end(&reply);
	tap_bytes(evbuffer_pullup(out, -1), evbuffer_get_length(out), "-ERR ? ?\r\n", 10,
			  "errors have no bytes that are not UTF-8");
	evbuffer_free(out);
}

#define BYTES(literal) literal, sizeof(literal) - 1

void
test_reply(void)
{
	test_bytes(3, BYTES("*10\r\n%1\r\n+key\r\n:-1\r\n+a  b\r\n+c "
						"d\r\n$3\r\n\0\r\n\r\n$0\r\n\r\n#t\r\n,0.5\r\n_\r\n"
						"+ed389b27-52a3-5d70-9099-7a11547b8e8c\r\n-ERR line 1 line 2\r\n"));
	test_bytes(2, BYTES("*10\r\n*2\r\n+key\r\n:-1\r\n+a  b\r\n+c "
						"d\r\n$3\r\n\0\r\n\r\n$0\r\n\r\n:1\r\n$3\r\n0.5\r\n$-1\r\n"
						"+ed389b27-52a3-5d70-9099-7a11547b8e8c\r\n-ERR line 1 line 2\r\n"));
	test_hiredis();
	test_sizes();
	test_parts();
	test_discarded_part();
	test_doubles();
	test_errors();
}
