#include "store/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"

static const char prefix[] = "{\"$bytes\": \"";
static const char suffix[] = "\"}";

#define PREFIX_LENGTH (sizeof(prefix) - 1)
#define SUFFIX_LENGTH (sizeof(suffix) - 1)

bool
metadata_has_envelope(const char *metadata, size_t length)
{
	return length >= PREFIX_LENGTH + SUFFIX_LENGTH &&
		   memcmp(metadata, prefix, PREFIX_LENGTH) == 0 &&
		   memcmp(metadata + length - SUFFIX_LENGTH, suffix, SUFFIX_LENGTH) == 0;
}

/* The metadata of an event is an object, so that members can be asked for. */
static bool
is_object(const char *metadata, size_t length)
{
	size_t at = 0;

	while (at < length && strchr(" \t\r\n", metadata[at]) != NULL && metadata[at] != '\0')
		at++;
	return at < length && metadata[at] == '{' && json_is_valid(metadata, length);
}

bool
metadata_needs_envelope(const char *metadata, size_t length)
{
	return metadata_has_envelope(metadata, length) || !is_object(metadata, length);
}

size_t
metadata_envelope_length(size_t length)
{
	return PREFIX_LENGTH + base64_length(length) + SUFFIX_LENGTH;
}

void
metadata_wrap(const char *metadata, size_t length, char *to)
{
	memcpy(to, prefix, PREFIX_LENGTH);
	to += PREFIX_LENGTH;
	base64_encode(metadata, length, to);
	memcpy(to + base64_length(length), suffix, SUFFIX_LENGTH);
}

void
metadata_unwrap(char *metadata, size_t *length)
{
	size_t inner = *length - PREFIX_LENGTH - SUFFIX_LENGTH;
	size_t decoded;
	char *bytes;

	if (!metadata_has_envelope(metadata, *length))
		return;
	/* what SQL has written in this form need not be base64, and stays as it is */
	bytes = mem_alloc(inner);
	if (base64_decode(metadata + PREFIX_LENGTH, inner, bytes, &decoded))
	{
		memcpy(metadata, bytes, decoded);
		metadata[decoded] = '\0';
		*length = decoded;
	}
	free(bytes);
}
