/*
 * json.c
 *		Checks JSON without calling itself: the kinds of the open containers are in an array.
 */
#include "base/json.h"

#include <string.h>

#include "base/text.h"

typedef struct Json
{
	const char *at;
	const char *end;
	/* '{' or '[' of each container that is open */
	char open[JSON_MAX_DEPTH];
	int depth;
} Json;

static void
skip_blanks(Json *json)
{
	while (json->at < json->end &&
		   (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
		json->at++;
}

static bool
take(Json *json, char c)
{
	if (json->at == json->end || *json->at != c)
		return false;
	json->at++;
	return true;
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
take_escape(Json *json)
{
	char c;

	if (json->at == json->end)
		return false;
	c = *json->at++;
	if (c != 'u')
		return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
	for (int i = 0; i < 4; i++)
		if (json->at == json->end || !is_hex(*json->at++))
			return false;
	return true;
}

/* Behind the opening quote. */
static bool
take_string(Json *json)
{
	const char *end = json->end;

	do
	{
		const char *at = json->at;

		while (at < end && *at != '"' && *at != '\\' && (unsigned char) *at >= 32)
			at++;
		json->at = at;
		if (take(json, '"'))
			return true;
		/* else a control character, or the end */
	} while (take(json, '\\') && take_escape(json));
	return false;
}

static bool
take_digits(Json *json)
{
	const char *first = json->at;

	while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
		json->at++;
	return json->at > first;
}

static bool
take_number(Json *json)
{
	take(json, '-');
	if (!take(json, '0') && !take_digits(json))
		return false;
	if (take(json, '.') && !take_digits(json))
		return false;
	if (take(json, 'e') || take(json, 'E'))
	{
		if (!take(json, '+'))
			take(json, '-');
		return take_digits(json);
	}
	return true;
}

static bool
take_literal(Json *json, const char *word)
{
	size_t length = strlen(word);

	if ((size_t) (json->end - json->at) < length || memcmp(json->at, word, length) != 0)
		return false;
	json->at += length;
	return true;
}

/* A key and its colon. */
static bool
take_key(Json *json)
{
	skip_blanks(json);
	if (!take(json, '"') || !take_string(json))
		return false;
	skip_blanks(json);
	return take(json, ':');
}

/*
 * A value, or the beginning of a container.  *opened: a container has begun that has elements,
 * so a value comes next.
 */
static bool
take_value(Json *json, bool *opened)
{
	char c;

	*opened = false;
	skip_blanks(json);
	if (json->at == json->end)
		return false;
	c = *json->at;
	switch (c)
	{
		case '{':
		case '[':
			json->at++;
			skip_blanks(json);
			if (take(json, c == '{' ? '}' : ']'))
				return true;
			if (json->depth == JSON_MAX_DEPTH)
				return false;
			json->open[json->depth++] = c;
			*opened = true;
			return c == '[' || take_key(json);
		case '"':
			json->at++;
			return take_string(json);
		case 't':
			return take_literal(json, "true");
		case 'f':
			return take_literal(json, "false");
		case 'n':
			return take_literal(json, "null");
		default:
			return take_number(json);
	}
}

/* Behind a value: closes containers, up to a comma or the end. */
static bool
take_separators(Json *json)
{
	while (json->depth > 0)
	{
		char open = json->open[json->depth - 1];

		skip_blanks(json);
		if (take(json, ','))
			return open == '[' || take_key(json);
		if (!take(json, open == '{' ? '}' : ']'))
			return false;
		json->depth--;
	}
	return true;
}

bool
json_is_valid(const char *text, size_t length)
{
	Json json = {.at = text, .end = text + length};
	bool opened;

	if (!text_is_utf8(text, length))
		return false;
	do
	{
		do
			if (!take_value(&json, &opened))
				return false;
		while (opened);
		if (!take_separators(&json))
			return false;
	} while (json.depth > 0);
	skip_blanks(&json);
	return json.at == json.end;
}
