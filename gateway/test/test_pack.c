/*
 * test_pack.c
 *		Packs: their events, and those that are damaged.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/pack.h"
#include "test/tap.h"

#define NUMBERS                                                                                    \
	"\0\0\0\0\0\0\0\7"                                                                             \
	"\0\0\0\0\0\0\0\3"                                                                             \
	"\0\0\0\0\0\0\1\2"                                                                             \
	"\0\0\0\0\0\x0f\x42\x40"                                                                       \
	"eventeventevent1"                                                                             \
	"keykeykeykeykey2"                                                                             \
	"transactiontran3"                                                                             \
	"\0\0\0\x1f"
#define PLAIN                                                                                      \
	NUMBERS "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4"                                                     \
			"sen{ }load"
/* metadata that are the byte 'a' */
#define WRAPPED                                                                                    \
	NUMBERS "\0\0\0\1\0\0\0\1\0\0\0\x12\0\0\0\0"                                                   \
			"se{\"$bytes\": \"YQ==\"}"

static const char whole[] = "\1" PLAIN WRAPPED;
static const size_t whole_length = sizeof(whole) - 1;

static void
test_events(void)
{
	StorePack pack;
	StoreEvent event;

	pack_begin(&pack, whole, whole_length);
	tap_ok(pack.has_more && pack_next(&pack, &event), "the first event");
	tap_ok(event.global_position == 7 && event.partition_sequence == 3 &&
			   event.stream_version == 258 && event.partition_id == 31,
		   "its numbers");
	tap_ok(event.timestamp == 946684801000, "its time");
	tap_ok(memcmp(event.event_id.bytes, "eventeventevent1", 16) == 0 &&
			   memcmp(event.partition_key.bytes, "keykeykeykeykey2", 16) == 0 &&
			   memcmp(event.transaction_id.bytes, "transactiontran3", 16) == 0,
		   "its ids");
	tap_bytes(event.stream_id, event.stream_id_length, "s", 1, "its stream");
	tap_bytes(event.event_name, event.event_name_length, "en", 2, "its name");
	tap_bytes(event.metadata, event.metadata_length, "{ }", 3, "its metadata");
	tap_bytes(event.payload, event.payload_length, "load", 4, "its payload");
	tap_ok(pack_next(&pack, &event), "the second event");
	tap_bytes(event.metadata, event.metadata_length, "a", 1, "metadata out of an envelope");
	tap_ok(event.payload_length == 0, "no payload");
	tap_ok(!pack_next(&pack, &event) && !pack.is_damaged, "no third event");
	pack_end(&pack);

	pack_begin(&pack, "\0", 1);
	tap_ok(!pack.has_more && !pack_next(&pack, &event) && !pack.is_damaged, "an empty pack");
	pack_end(&pack);
}

/* Each is in memory of its own, so that the sanitizer sees what is read behind its end. */
static void
test_damaged(void)
{
	const size_t boundaries[] = {1, 1 + sizeof(PLAIN) - 1, whole_length};
	bool good = true;

	for (size_t length = 0; length <= whole_length; length++)
	{
		char *bytes = mem_copy(whole, length);
		bool is_whole = false;
		StorePack pack;
		StoreEvent event;

		for (size_t i = 0; i < 3; i++)
			is_whole = is_whole || length == boundaries[i];
		pack_begin(&pack, bytes, length);
		while (pack_next(&pack, &event))
			;
		good = good && pack.is_damaged != is_whole;
		pack_end(&pack);
		free(bytes);
	}
	tap_ok(good, "a pack that is cut off is damaged, but between two events");
}

void
test_pack(void)
{
	test_events();
	test_damaged();
}
