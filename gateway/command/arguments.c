#include "command/arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "store/append.h"

#define MAX_NAME_BYTES 255
#define MAX_PARTITION 65535

bool
argument_fail(Arguments *arguments, const char *format, ...)
{
	va_list values;
	int used;

	used = snprintf(arguments->error->text, sizeof(arguments->error->text), "INVALIDARG ");
	va_start(values, format);
	vsnprintf(arguments->error->text + used, sizeof(arguments->error->text) - (size_t) used, format,
			  values);
	va_end(values);
	return false;
}

bool
arguments_at_end(const Arguments *arguments)
{
	return arguments->at >= arguments->request->count;
}

static const Word *
next_word(Arguments *arguments, const char *name)
{
	const Word *word;

	if (arguments_at_end(arguments))
	{
		argument_fail(arguments, "unexpected end of input: expected %s", name);
		return NULL;
	}
	word = &arguments->request->words[arguments->at++];
	if (word->type == WORD_OTHER)
	{
		argument_fail(arguments, "unexpected type: expected %s", name);
		return NULL;
	}
	return word;
}

const Word *
argument_next(Arguments *arguments, const char *name)
{
	const Word *word = next_word(arguments, name);

	if (word != NULL && word->type != WORD_STRING)
	{
		argument_fail(arguments, "unexpected number: expected %s", name);
		return NULL;
	}
	return word;
}

bool
argument_keyword(Arguments *arguments, const char *keyword)
{
	const Word *word;

	if (arguments_at_end(arguments))
		return false;
	word = &arguments->request->words[arguments->at];
	if (word->type != WORD_STRING || !text_is_word(word->data, word->length, keyword))
		return false;
	arguments->at++;
	return true;
}

/* Bounds of the store, so that one client's name does not make a whole batch fail. */
static bool
check_name(Arguments *arguments, const Word *word, const char *what)
{
	char text[100];

	if (word->length < 1 || word->length > MAX_NAME_BYTES)
		return argument_fail(
			arguments, "%s must be between 1 and %d characters in length, but got %zu for '%s'",
			what, MAX_NAME_BYTES, word->length,
			text_printable(word->data, word->length, text, sizeof(text)));
	if (!text_is_utf8(word->data, word->length))
		return argument_fail(arguments, "%s is not UTF-8", what);
	if (text_has_control(word->data, word->length))
		return argument_fail(arguments, "%s has control characters", what);
	return true;
}

bool
argument_stream(Arguments *arguments, const Word **stream)
{
	*stream = argument_next(arguments, "stream id");
	return *stream != NULL && check_name(arguments, *stream, "stream id");
}

bool
argument_event_name(Arguments *arguments, const Word **name)
{
	*name = argument_next(arguments, "event name");
	return *name != NULL && check_name(arguments, *name, "event name");
}

bool
argument_number(Arguments *arguments, const char *name, int64_t *value)
{
	const Word *word = next_word(arguments, name);
	char text[60];

	if (word == NULL)
		return false;
	if (!text_to_number(word->data, word->length, value))
		return argument_fail(arguments, "invalid %s '%s': expected number", name,
							 text_printable(word->data, word->length, text, sizeof(text)));
	return true;
}

bool
argument_uuid(Arguments *arguments, const char *name, Uuid *uuid)
{
	const Word *word = argument_next(arguments, name);

	if (word == NULL)
		return false;
	if (!uuid_parse(word->data, word->length, uuid))
		return argument_fail(arguments, "invalid %s", name);
	return true;
}

bool
argument_key(Arguments *arguments, Uuid *key)
{
	const Word *word = argument_next(arguments, "partition key");

	if (word == NULL)
		return false;
	if (word->length == 0 || !text_is_utf8(word->data, word->length) ||
		memchr(word->data, '\0', word->length) != NULL)
		return argument_fail(arguments, "invalid partition key");
	uuid_of_key(word->data, word->length, key);
	return true;
}

bool
argument_bytes(Arguments *arguments, const char *name, const Word **bytes)
{
	*bytes = argument_next(arguments, name);
	return *bytes != NULL;
}

bool
argument_expected_version(Arguments *arguments, Dialect dialect, int64_t *version)
{
	const Word *word = next_word(arguments, "expected version");

	if (word == NULL)
		return false;
	if (text_to_number(word->data, word->length, version))
	{
		/* there, it is the number of events that the stream has */
		if (dialect == DIALECT_TUTORIAL)
			*version = *version == 0 ? EXPECTED_EMPTY : *version - 1;
		return true;
	}
	if (text_is_word(word->data, word->length, "ANY"))
		*version = EXPECTED_ANY;
	else if (text_is_word(word->data, word->length, "EXISTS"))
		*version = EXPECTED_EXISTS;
	else if (text_is_word(word->data, word->length, "EMPTY"))
		*version = EXPECTED_EMPTY;
	else
		return argument_fail(arguments,
							 "invalid expected version: expected number, ANY, EXISTS or EMPTY");
	return true;
}

bool
argument_timestamp(Arguments *arguments, int64_t *msecs)
{
	const Word *word = next_word(arguments, "timestamp");
	uint64_t number;

	if (word == NULL)
		return false;
	if (!text_to_uint64(word->data, word->length, &number))
		return argument_fail(arguments, "invalid timestamp: expected number");
	if (number > CLOCK_MAX_MSECS)
		return argument_fail(arguments,
							 "invalid timestamp format: expected milliseconds, got nanoseconds");
	*msecs = (int64_t) number;
	return true;
}

static bool
take_bound(Arguments *arguments, const char *which, const char *what, char open, int64_t *bound)
{
	const Word *word = next_word(arguments, which);
	char other = open == '-' ? '+' : '-';

	if (word == NULL)
		return false;
	if (word->length == 1 && word->data[0] == open)
	{
		*bound = -1;
		return true;
	}
	if (word->length == 1 && word->data[0] == other)
		return argument_fail(arguments, "%s %s cannot be '%c'", which, what, other);
	if (!text_to_number(word->data, word->length, bound))
		return argument_fail(arguments, "invalid %s %s: expected number or '%c'", which, what,
							 open);
	return true;
}

bool
argument_range(Arguments *arguments, Dialect dialect, const char *what, Range *range)
{
	int64_t first = dialect == DIALECT_TUTORIAL ? 1 : 0;

	if (!take_bound(arguments, "start", what, '-', &range->from) ||
		!take_bound(arguments, "end", what, '+', &range->to))
		return false;
	range->is_empty = range->to >= 0 && (range->to < first || range->to < range->from);
	range->from = range->from > first ? range->from - first : 0;
	if (range->to >= first)
		range->to -= first;
	return true;
}

bool
argument_partition(Arguments *arguments, PartitionArgument *partition)
{
	const Word *word = next_word(arguments, "partition");
	int64_t number;

	if (word == NULL)
		return false;
	partition->is_key = uuid_parse(word->data, word->length, &partition->key);
	if (partition->is_key)
		return true;
	if (!text_to_number(word->data, word->length, &number) || number > MAX_PARTITION)
		return argument_fail(arguments,
							 "invalid partition: expected a partition key or a number up to %d",
							 MAX_PARTITION);
	partition->id = (int) number;
	return true;
}

bool
argument_end(Arguments *arguments)
{
	if (arguments_at_end(arguments))
		return true;
	return argument_fail(arguments, "unexpected string: expected end of input");
}
