/*
 * reply.h
 *		Writes replies and pushes, in RESP2 or RESP3.
 *
 * A writer collects small pieces and appends them to an evbuffer, at the latest when it
 * ends.  Keys of maps are simple strings, because SierraDB's own client requires it.
 *
 *		Reply reply;
 *
 *		reply_begin(&reply, buffer, 3);
 *		reply_map(&reply, 1);
 *		reply_key(&reply, "stream_version");
 *		reply_integer(&reply, 4);
 *		reply_end(&reply);
 */
#ifndef FRAME_REPLY_H
#define FRAME_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/buffer.h>

/* A structure that points into itself: it cannot be copied. */
typedef struct Reply
{
	/* NULL: all is collected */
	struct evbuffer *out;
	/* 2 or 3 */
	int protocol;
	/* of data, which is buffer or was allocated */
	size_t used;
	size_t size;
	char *data;
	char buffer[2048];
} Reply;

extern void reply_begin(Reply *reply, struct evbuffer *out, int protocol);
/* Appends what is still collected; the reply can be continued. */
extern void reply_flush(Reply *reply);
static inline void
reply_end(Reply *reply)
{
	reply_flush(reply);
}

/*
 * A part of a reply that is collected in memory, until reply_collected() moves it behind
 * another one, or reply_discard() ends it.
 */
extern void reply_collect(Reply *part, int protocol);
extern void reply_collected(Reply *reply, Reply *part);
extern void reply_discard(Reply *part);

/* Room for size bytes, to be filled by put.h; reply_filled() says where they end. */
extern char *reply_room(Reply *reply, size_t size);
static inline void
reply_filled(Reply *reply, const char *end)
{
	reply->used = (size_t) (end - reply->data);
}

/* These announce elements, which must follow.  RESP2: a flat array of keys and values. */
extern void reply_map(Reply *reply, int64_t pairs);
extern void reply_array(Reply *reply, int64_t elements);
/* '>' in both protocols: RESP2 has no pushes, whoever writes one there has decided so. */
extern void reply_push(Reply *reply, int64_t elements);

/* Of a name that has neither CR nor LF, such as a literal. */
extern void reply_key(Reply *reply, const char *name);
/* CR and LF become blanks. */
extern void reply_simple(Reply *reply, const char *text);
extern void reply_simple_bytes(Reply *reply, const char *text, size_t length);
extern void reply_bulk(Reply *reply, const void *bytes, size_t length);
extern void reply_bulk_text(Reply *reply, const char *text);
extern void reply_integer(Reply *reply, int64_t value);
/* RESP2: 1 or 0 */
extern void reply_boolean(Reply *reply, bool value);
/* RESP2: a bulk string */
extern void reply_double(Reply *reply, double value);
extern void reply_null(Reply *reply);
/* Hyphenated, in lower case, as a simple string. */
extern void reply_uuid(Reply *reply, const uint8_t *uuid);
/*
 * The text begins with a code word.  Line ends become blanks, bytes that are not UTF-8 become '?',
 * and a long text is cut.
 */
extern void reply_error(Reply *reply, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* FRAME_REPLY_H */
