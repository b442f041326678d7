/*
 * gateway_pack.c
 *		libFuzzer: a page of events, as one value of the server that can be cut off or damaged.
 *
 * What is read lies within the value, and the replies that are made of it can be read.
 *
 * sources: base frame/reply.c store/event.c store/metadata.c store/pack.c frame_check.c
 * sources: command/event_json.c command/event_reply.c
 * packages: libpq libcrypto
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "command/event_json.h"
#include "command/event_reply.h"
#include "frame_check.h"
#include "store/pack.h"

/* Writes the event in each of the ways that clients see. */
static void
write_event(const StoreEvent *event)
{
	struct evbuffer *out = evbuffer_new();
	FrameCheck check;
	Reply reply;

	frame_check_init(&check);
	for (int protocol = 2; protocol <= 3; protocol++)
	{
		reply_begin(&reply, out, protocol);
		event_reply_map(&reply, event);
		event_reply_array(&reply, event);
		reply_end(&reply);
	}
	frame_check(&check, out);
	assert(check.replies == 4 && evbuffer_get_length(out) == 0);
	event_to_json(event, out);
	evbuffer_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of this size exactly, so that ASan sees one byte too many */
	char *bytes = malloc(size > 0 ? size : 1);
	StorePack pack;
	StoreEvent event;
	size_t left = size;

	memcpy(bytes, data, size);
	pack_begin(&pack, bytes, size);
	while (pack_next(&pack, &event))
	{
		size_t now = (size_t) (pack.end - pack.at);

		assert(now < left);
		left = now;
		/* versions of a store are below */
		if (event.stream_version < INT64_MAX)
			write_event(&event);
	}
	assert(pack.is_damaged || pack.at == pack.end);
	pack_end(&pack);
	free(bytes);
	return 0;
}
