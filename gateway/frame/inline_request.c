#include "frame/inline_request.h"

#include <string.h>

#include "base/memory.h"

/* The words are written over the line: none is longer than its spelling. */
typedef struct Split
{
	const char *at;
	const char *end;
	char *to;
} Split;

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* What follows a backslash within double quotes. */
static char
take_escape(Split *split)
{
	static const char letters[] = "nrtba";
	static const char meanings[] = "\n\r\t\b\a";
	const char *found;
	char c = *split->at++;

	if (c == 'x' && split->end - split->at >= 2 && hex_value(split->at[0]) >= 0 &&
		hex_value(split->at[1]) >= 0)
	{
		c = (char) (hex_value(split->at[0]) << 4 | hex_value(split->at[1]));
		split->at += 2;
		return c;
	}
	found = strchr(letters, c);
	return found != NULL && c != '\0' ? meanings[found - letters] : c;
}

/* Copies what is between two quotes; the first is taken.  False if the second is missing. */
static bool
take_quoted(Split *split, char quote)
{
	while (split->at < split->end)
	{
		char c = *split->at++;

		if (c == quote)
			return split->at == split->end || is_blank(*split->at);
		if (c == '\\' && split->at < split->end && (quote == '"' || *split->at == '\''))
			c = quote == '"' ? take_escape(split) : *split->at++;
		*split->to++ = c;
	}
	return false;
}

static bool
take_word(Split *split)
{
	while (split->at < split->end && !is_blank(*split->at))
	{
		char c = *split->at++;

		if (c == '"' || c == '\'')
			return take_quoted(split, c);
		*split->to++ = c;
	}
	return true;
}

static void
add_word(Request *request, int *allocated, char *data, size_t length)
{
	if (request->count == *allocated)
	{
		*allocated = *allocated > 0 ? 2 * *allocated : 8;
		request->words = mem_resize(request->words, *allocated * sizeof(Word));
	}
	request->words[request->count++] = (Word){.length = length, .data = data};
}

const char *
inline_request_split(char *line, size_t length, const RequestLimits *limits, Request *request)
{
	char *copy = mem_copy(line, length);
	Split split = {.at = copy, .end = copy + length, .to = line};
	const char *error = NULL;
	int allocated = 0;

	request->data = line;
	request->bytes += length;
	for (;;)
	{
		char *word = split.to;

		while (split.at < split.end && is_blank(*split.at))
			split.at++;
		if (split.at == split.end)
			break;
		if (!take_word(&split))
			error = "unbalanced quotes in request";
		else if (request->count == limits->max_words)
			error = "too many words in an inline command";
		if (error != NULL)
			break;
		add_word(request, &allocated, word, (size_t) (split.to - word));
		/* the blank behind the word, or the byte behind the line, is free for it */
		*split.to++ = '\0';
	}
	request->bytes += request->count * sizeof(Word);
	mem_free_secret(copy);
	return error;
}
