/*
 * gateway_pack.c
 *		libFuzzer: a page of events, and the outcome of a batch of appends: values of the server
 *		that can be cut off or damaged.
 *
 * What is read lies within the value, and the replies that are made of it can be read.
 *
 * sources: base frame/reply.c store/batch.c store/event.c store/metadata.c store/pack.c
 * sources: store/statement.c frame_check.c
 * sources: command/event_json.c command/event_reply.c
 * packages: libpq libcrypto
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "command/event_json.h"
#include "command/event_reply.h"
#include "frame_check.h"
#include "store/batch.h"
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

static void
read_page(const char *bytes, size_t size)
{
	StorePack pack;
	StoreEvent event;
	size_t left = size;

	pack_begin(&pack, bytes, size);
	while (pack_next(&pack, &event))
	{
		size_t now = (size_t) (pack.bytes.end - pack.bytes.at);

		assert(now < left);
		left = now;
		/* versions of a store are below */
		if (event.stream_version < INT64_MAX)
			write_event(&event);
	}
	assert(pack.is_damaged || pack.bytes.at == pack.bytes.end);
	pack_end(&pack);
}

/* Of two appends, one with two events. */
static void
read_outcome(const char *bytes, size_t size)
{
	AppendEvent events[3] = {{0}};
	StoreAppend second = {.events = &events[2], .count = 1};
	StoreAppend first = {.events = events, .count = 2, .next = &second};

	batch_outcome(&first, bytes, size);
	for (StoreAppend *append = &first; append != NULL; append = append->next)
	{
		if (append->refusal != NULL)
			assert(strlen(append->refusal->error.message) <= size &&
				   strlen(append->refusal->error.constraint) <= size);
		free(append->refusal);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of this size exactly, so that ASan sees one byte too many */
	char *bytes = malloc(size > 0 ? size : 1);

	memcpy(bytes, data, size);
	read_page(bytes, size);
	read_outcome(bytes, size);
	free(bytes);
	return 0;
}
