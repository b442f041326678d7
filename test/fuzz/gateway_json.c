/*
 * gateway_json.c
 *		libFuzzer: what the gateway takes for JSON, PostgreSQL takes for JSON, and the other way
 *		round; and metadata come back as they were.
 *
 * One text that the server refuses makes a whole batch of appends fail.  The parser of the
 * server is in its library for programs.
 *
 * sources: base/json.c base/base64.c base/memory.c base/text.c store/metadata.c
 * server: libpgcommon.a libpgport.a
 */
#include "postgres_fe.h"

#include <assert.h>

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#include "base/json.h"
#include "store/metadata.h"

/* What json_recv() does with a text. */
static bool
server_takes(char *text, size_t length)
{
	JsonLexContext *lex;
	bool is_valid;

	if (memchr(text, '\0', length) != NULL ||
		pg_encoding_verifymbstr(PG_UTF8, text, (int) length) != (int) length)
		return false;
#if PG_VERSION_NUM >= 170000
	lex = makeJsonLexContextCstringLen(NULL, text, length, PG_UTF8, false);
	is_valid = pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
	freeJsonLexContext(lex);
#else
	lex = makeJsonLexContextCstringLen(text, (int) length, PG_UTF8, false);
	is_valid = pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
	pfree(lex);
#endif
	return is_valid;
}

/* Brackets that open, wherever they are: not less than the depth. */
static int
brackets(const char *text, size_t length)
{
	int count = 0;

	for (size_t i = 0; i < length; i++)
		count += text[i] == '[' || text[i] == '{';
	return count;
}

static void
check_metadata(const char *text, size_t length)
{
	size_t stored = metadata_envelope_length(length);
	char *envelope = malloc((length > stored ? length : stored) + 1);

	if (metadata_needs_envelope(text, length))
	{
		metadata_wrap(text, length, envelope);
		assert(json_is_valid(envelope, stored));
	}
	else
	{
		stored = length;
		memcpy(envelope, text, length);
	}
	envelope[stored] = '\0';
	assert(server_takes(envelope, stored));
	metadata_unwrap(envelope, &stored);
	assert(stored == length && memcmp(envelope, text, length) == 0);
	free(envelope);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of this size exactly, so that ASan sees one byte too many; the server's parser needs an end */
	char *text = malloc(size > 0 ? size : 1);
	char *ended = malloc(size + 1);
	bool is_valid;

	memcpy(text, data, size);
	memcpy(ended, data, size);
	ended[size] = '\0';
	is_valid = json_is_valid(text, size);
	if (is_valid || brackets(text, size) <= JSON_MAX_DEPTH)
		assert(is_valid == server_takes(ended, size));
	check_metadata(text, size);
	free(text);
	free(ended);
	return 0;
}
