/*
 * test_base.c
 *		Numbers, UTF-8, UUIDs, JSON, base64, and the envelope of metadata.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/uuid.h"
#include "store/metadata.h"
#include "test/tap.h"

/* Around each number of digits. */
static void
test_number_texts(void)
{
	uint64_t power = 1;
	bool good = true;

	for (int digits = 1; digits <= 19; digits++, power *= 10)
		for (int64_t near = -2; near <= 2; near++)
			for (int sign = -1; sign <= 1; sign += 2)
			{
				int64_t value = sign * ((int64_t) power + near);
				char wanted[INT64_TEXT_SIZE + 1];
				char text[INT64_TEXT_SIZE];
				int length = snprintf(wanted, sizeof(wanted), "%lld", (long long) value);

				good = good && text_of_int64(value, text) == (size_t) length &&
					   strcmp(text, wanted) == 0;
			}
	tap_ok(good, "numbers with each number of digits as text");
}

static void
test_numbers(void)
{
	static const char *const wrong[] = {
		"", "+", "-1", "1 ", " 1", "1a", "18446744073709551616", "0x1", "1.0", "++1"};
	uint64_t value;
	int64_t number;
	char text[INT64_TEXT_SIZE];

	tap_ok(text_to_uint64("18446744073709551615", 20, &value) && value == UINT64_MAX,
		   "the largest number");
	tap_ok(text_to_uint64("+007", 4, &value) && value == 7, "a plus and zeros");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		tap_ok(!text_to_uint64(wrong[i], strlen(wrong[i]), &value), "not a number: '%s'", wrong[i]);
	tap_ok(text_to_number("9223372036854775807", 19, &number) && number == INT64_MAX,
		   "the largest version");
	tap_ok(!text_to_number("9223372036854775808", 19, &number),
		   "one more than the largest version");
	text_of_int64(INT64_MIN, text);
	tap_text(text, "-9223372036854775808", "the smallest number as text");
	text_of_int64(0, text);
	tap_text(text, "0", "zero as text");
	test_number_texts();
}

/* At each place of a text that is ASCII otherwise. */
static bool
is_utf8_anywhere(const char *bytes, bool wanted)
{
	size_t length = strlen(bytes);

	for (size_t before = 0; before <= 17; before++)
		for (size_t after = 0; after <= 17; after++)
		{
			char text[40];

			memset(text, 'x', sizeof(text));
			memcpy(text + before, bytes, length);
			if (text_is_utf8(text, before + length + after) != wanted)
				return false;
		}
	return true;
}

static void
test_texts(void)
{
	static const char *const good[] = {
		"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
									  "\xc0\x80",
									  "\xc3",
									  "\xe0\x80\x80",
									  "\xed\xa0\x80",
									  "\xf0\x80\x80\x80",
									  "\xf4\x90\x80\x80",
									  "\xff",
									  "a\xe2\x82"};
	char text[40];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		tap_ok(is_utf8_anywhere(good[i], true), "UTF-8, number %zu", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(is_utf8_anywhere(bad[i], false), "not UTF-8, number %zu", i);
	tap_ok(text_is_word("pInG", 4, "PING") && !text_is_word("pin", 3, "PING") &&
			   !text_is_word("ping2", 5, "PING") && !text_is_word("PING\0", 5, "PING"),
		   "keywords are compared whole, without case");
	tap_ok(text_equal_secret("abc", "abc") && !text_equal_secret("abc", "abd") &&
			   !text_equal_secret("abc", "ab") && !text_equal_secret("", "a") &&
			   !text_equal_secret("a", "") && text_equal_secret("", "") &&
			   !text_equal_secret("abab", "ab"),
		   "passwords are compared whole");
	tap_text(text_printable("a\r\nb\xff"
							"c",
							6, text, sizeof(text)),
			 "a??b?c", "control characters do not come into the log");
	tap_text(text_printable("a\x7f\xc2\x9b\xc2\xa0z", 7, text, sizeof(text)), "a??\xc2\xa0z",
			 "nor those that are two bytes");
	tap_text(text_printable("0123456789", 10, text, 10), "012345...", "a long text is cut");
}

static void
test_uuids(void)
{
	static const char *const spellings[] = {"ED389b27-52a3-5d70-9099-7a11547b8e8c",
											"ed389b2752a35d7090997a11547b8e8c",
											"{ed389b27-52a3-5d70-9099-7a11547b8e8c}",
											" urn:uuid:ed389b27-52a3-5d70-9099-7a11547b8e8c\t"};
	static const char *const wrong[] = {"",
										"ed389b27",
										"ed389b27-52a3-5d70-9099-7a11547b8e8",
										"ed389b2752a3-5d70-9099-7a11547b8e8c",
										"gd389b27-52a3-5d70-9099-7a11547b8e8c",
										"{ed389b27-52a3-5d70-9099-7a11547b8e8c"};
	char text[UUID_TEXT_SIZE];
	Uuid uuid;
	Uuid key;
	Uuid id;

	uuid_of_name("order-1", 7, &key);
	uuid_text(&key, text);
	tap_text(text, "ed389b27-52a3-5d70-9099-7a11547b8e8c", "the key of a stream is SierraDB's");
	tap_ok(uuid_partition(&key, 32) == 5, "its partition, too");
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		tap_ok(uuid_parse(spellings[i], strlen(spellings[i]), &uuid) &&
				   memcmp(&uuid, &key, sizeof(uuid)) == 0,
			   "a spelling of a UUID: %s", spellings[i]);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		tap_ok(!uuid_parse(wrong[i], strlen(wrong[i]), &uuid), "not a UUID: %s", wrong[i]);
	uuid_generate(uuid_hash(&key), &id);
	tap_ok(uuid_hash(&id) == uuid_hash(&key), "an id carries the hash of the key");
	tap_ok((id.bytes[6] & 0xf0) == 0x70 && (id.bytes[8] & 0xc0) == 0x80,
		   "version and variant of an id");
	uuid_random(&id);
	tap_ok((id.bytes[6] & 0xf0) == 0x40 && (id.bytes[8] & 0xc0) == 0x80,
		   "version and variant of a random one");
}

static void
test_json(void)
{
	static const char *const good[] = {"{}",
									   "[]",
									   " 1 ",
									   "-0",
									   "0.5e-10",
									   "1E+2",
									   "\"\\u0000\\\"\\n\"",
									   "true",
									   "null",
									   "[1,{\"a\":[null,false]}, \"x\"]",
									   "{\"a\":{},\"b\":[[]]}",
									   "\"\xc3\xa9\""};
	static const char *const bad[] = {
		"",		  " ",		   "{",			  "}",	 "[1,]",  "{\"a\"}",	 "{\"a\":1,}",
		"{a:1}",  "01",		   "1.",		  "1e",	 "-",	  "+1",			 ".5",
		"\"\n\"", "\"\\x\"",   "\"\\u12g4\"", "\"",	 "tru",	  "nulll",		 "1 2",
		"[1}",	  "{\"a\":1]", "\xff",		  "'a'", "[1 2]", "\"a\" \"b\"", "NaN"};
	char deep[2 * (JSON_MAX_DEPTH + 2)];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		tap_ok(json_is_valid(good[i], strlen(good[i])), "JSON: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(!json_is_valid(bad[i], strlen(bad[i])), "not JSON: '%s'", bad[i]);
	tap_ok(!json_is_valid("1\0", 2), "a zero byte is not JSON");
	memset(deep, '[', JSON_MAX_DEPTH + 2);
	memset(deep + JSON_MAX_DEPTH + 2, ']', JSON_MAX_DEPTH + 2);
	tap_ok(!json_is_valid(deep, sizeof(deep)), "one level too deep");
	/* the innermost is empty, and needs no level */
	tap_ok(json_is_valid(deep + 1, sizeof(deep) - 2), "the deepest level");
}

/* Metadata goes into its envelope and comes out again, or is not wrapped. */
static void
round_trip(const char *bytes, size_t length, bool wrapped, const char *name)
{
	size_t stored = length;
	char *copy;

	tap_ok(metadata_needs_envelope(bytes, length) == wrapped, "%s is %swrapped", name,
		   wrapped ? "" : "not ");
	if (wrapped)
	{
		stored = metadata_envelope_length(length);
		copy = mem_alloc(stored + 1);
		metadata_wrap(bytes, length, copy);
		tap_ok(json_is_valid(copy, stored), "%s: the envelope is JSON", name);
	}
	else
		copy = mem_copy(bytes, length);
	metadata_unwrap(copy, &stored);
	tap_bytes(copy, stored, bytes, length, "%s comes back", name);
	free(copy);
}

static void
test_metadata(void)
{
	char all[256];
	char name[40];
	static const char envelope[] = "{\"$bytes\": \"AAAA\"}";
	static const char other[] = "{\"$bytes\": \"not base64!\"}";

	for (int i = 0; i < 256; i++)
		all[i] = (char) i;
	for (size_t length = 1; length <= 6; length++)
	{
		memcpy(name, "bytes, length ", 15);
		text_of_int64((int64_t) length, name + strlen(name));
		round_trip(all + 250, length, true, name);
	}
	round_trip(all, sizeof(all), true, "each byte");
	round_trip(" {\"a\":  1}", 10, false, "an object");
	round_trip("{\"a\":  1", 8, true, "half an object");
	round_trip("[1]", 3, true, "an array");
	round_trip("null", 4, true, "null");
	round_trip("\"a\"", 3, true, "a string");
	round_trip("  ", 2, true, "blanks");
	round_trip(envelope, sizeof(envelope) - 1, true, "what looks like an envelope");
	round_trip(other, sizeof(other) - 1, true, "what looks like an envelope, but is none");
}

static void
test_clock(void)
{
	tap_ok(clock_of_postgres(0) == CLOCK_EPOCH_MSECS &&
			   clock_of_postgres(-1) == CLOCK_EPOCH_MSECS - 1,
		   "milliseconds are rounded down");
	tap_ok(clock_of_postgres(clock_to_postgres(CLOCK_MAX_MSECS)) == CLOCK_MAX_MSECS,
		   "the latest time");
	tap_ok(clock_of_postgres(clock_to_postgres(0)) == 0, "the earliest time");
}

void
test_base(void)
{
	test_numbers();
	test_texts();
	test_uuids();
	test_json();
	test_metadata();
	test_clock();
}
