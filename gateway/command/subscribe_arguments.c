#include "command/subscribe_arguments.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "base/text.h"

#define MAX_STREAM_ID 255
/* As SierraDB counts partitions. */
#define MAX_PARTITION 65535

/* The words that are still to be read. */
typedef struct Words
{
	const Request *request;
	int at;
	SubscribeArguments *arguments;
} Words;

static bool fail(Words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool
fail(Words *words, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(words->arguments->error, sizeof(words->arguments->error), format, arguments);
	va_end(arguments);
	return false;
}

static bool
fail_expected(Words *words, const char *expected)
{
	const char *what = words->at < words->request->count ? "string" : "end of input";

	return fail(words, "INVALIDARG unexpected %s: expected %s", what, expected);
}

static const Word *
current(const Words *words)
{
	return words->at < words->request->count ? &words->request->words[words->at] : NULL;
}

static bool
is_keyword(const Words *words, const char *keyword)
{
	const Word *word = current(words);

	return word != NULL && word->type == WORD_STRING &&
		   text_is_word(word->data, word->length, keyword);
}

static bool
take_keyword(Words *words, const char *keyword)
{
	bool is_there = is_keyword(words, keyword);

	if (is_there)
		words->at++;
	return is_there;
}

static bool
take_number(Words *words, int64_t *number)
{
	const Word *word = current(words);

	if (word == NULL || word->type == WORD_OTHER ||
		!text_to_number(word->data, word->length, number))
		return fail_expected(words, "number");
	words->at++;
	return true;
}

/* An entry of FROM MAP: what is before the first '=', and the number behind it. */
static bool
take_entry(Words *words, Word *name, int64_t *number)
{
	const Word *word = current(words);
	const char *equals;
	size_t length;

	if (word == NULL || word->type != WORD_STRING)
		return fail_expected(words, "name=number");
	equals = memchr(word->data, '=', word->length);
	if (equals == NULL)
		return fail_expected(words, "name=number");
	length = (size_t) (equals - word->data);
	if (!text_to_number(equals + 1, word->length - length - 1, number))
		return fail_expected(words, "name=number");
	*name = *word;
	name->length = length;
	words->at++;
	return true;
}

static bool
at_end_of_map(const Words *words)
{
	return current(words) == NULL || is_keyword(words, "WINDOW") || is_keyword(words, "DEFAULT");
}

static bool
parse_end(Words *words)
{
	int64_t window = settings.default_window;

	if (take_keyword(words, "WINDOW"))
	{
		if (!take_number(words, &window))
			return false;
		if (window < 1)
			return fail(words, "INVALIDARG number %lld must not be less than 1",
						(long long) window);
	}
	words->arguments->window = window;
	return current(words) == NULL ? true : fail_expected(words, "FROM, WINDOW or end of input");
}

/* ---- streams ---- */

bool
check_stream_name(const Word *word, char *error, size_t size)
{
	char shown[100];

	if (word->type == WORD_OTHER)
		snprintf(error, size, "INVALIDARG unexpected value: expected stream id");
	else if (word->length < 1 || word->length > MAX_STREAM_ID)
		snprintf(error, size,
				 "INVALIDARG stream id must be between 1 and %d characters in length, but got %zu "
				 "for '%s'",
				 MAX_STREAM_ID, word->length,
				 text_printable(word->data, word->length, shown, sizeof(shown)));
	else if (!text_is_utf8(word->data, word->length) || text_has_control(word->data, word->length))
		snprintf(error, size, "INVALIDARG stream id must be UTF-8 without control characters: '%s'",
				 text_printable(word->data, word->length, shown, sizeof(shown)));
	else
		return true;
	return false;
}

static bool
take_stream(Words *words)
{
	SourceSet *sources = &words->arguments->sources;
	const Word *word = current(words);

	if (word == NULL)
		return fail_expected(words, "stream id");
	if (!check_stream_name(word, words->arguments->error, sizeof(words->arguments->error)))
		return false;
	if (memchr(word->data, '*', word->length) != NULL)
		source_add_pattern(sources, word->data, word->length);
	else
		source_add_stream(sources, word->data, word->length, SOURCE_LATEST);
	words->at++;
	/* the id of a stream is enough to find it */
	if (take_keyword(words, "PARTITION_KEY"))
	{
		if (current(words) == NULL)
			return fail_expected(words, "partition key");
		words->at++;
	}
	return true;
}

/* Where single streams begin; others begin at LATEST. */
static bool
take_versions(Words *words)
{
	SourceSet *sources = &words->arguments->sources;
	int64_t from;
	Word name;

	do
	{
		if (!take_entry(words, &name, &from))
			return false;
		if (source_find_stream(sources, name.data, name.length) != NULL ||
			source_matches_pattern(sources, name.data, name.length))
			source_set_from(source_add_stream(sources, name.data, name.length, from), from);
	} while (!at_end_of_map(words));
	return true;
}

static bool
take_version(Words *words)
{
	SourceSet *sources = &words->arguments->sources;
	int64_t from;

	if (!take_number(words, &from))
		return fail_expected(words, "LATEST, MAP or number");
	for (int i = 0; i < sources->stream_count; i++)
		source_set_from(&sources->streams[i], from);
	sources->pattern_from = from;
	return true;
}

bool
parse_esub(const Request *request, SubscribeArguments *arguments)
{
	Words words = {request, 1, arguments};

	memset(arguments, 0, sizeof(*arguments));
	arguments->sources.pattern_from = SOURCE_LATEST;
	do
	{
		if (!take_stream(&words))
			return false;
	} while (current(&words) != NULL && !is_keyword(&words, "FROM") &&
			 !is_keyword(&words, "WINDOW"));
	if (take_keyword(&words, "FROM") && !take_keyword(&words, "LATEST") &&
		!(take_keyword(&words, "MAP") ? take_versions(&words) : take_version(&words)))
		return false;
	return parse_end(&words);
}

/* ---- partitions ---- */

static bool
to_partition(const char *text, size_t length, int64_t *partition)
{
	return text_to_number(text, length, partition) && *partition <= MAX_PARTITION;
}

/* A key, an id, or the ids from one to another. */
static bool
add_partitions(SourceSet *sources, const char *text, size_t length)
{
	const char *hyphen;
	int64_t first;
	int64_t last;
	Uuid key;

	if (uuid_parse(text, length, &key))
		source_add_key(sources, &key);
	else if (to_partition(text, length, &first))
		source_add_range(sources, first, first);
	else
	{
		hyphen = memchr(text, '-', length);
		if (hyphen == NULL || !to_partition(text, (size_t) (hyphen - text), &first) ||
			!to_partition(hyphen + 1, length - (size_t) (hyphen - text) - 1, &last) || first > last)
			return false;
		source_add_range(sources, first, last);
	}
	return true;
}

static bool
take_partitions(Words *words)
{
	SourceSet *sources = &words->arguments->sources;
	const Word *word = current(words);
	const char *at;
	const char *end;

	if (word == NULL || word->type == WORD_OTHER)
		return fail_expected(words, "partition id, partition key or '*'");
	words->at++;
	if (word->length == 1 && word->data[0] == '*')
	{
		sources->is_all = true;
		return true;
	}
	end = word->data + word->length;
	for (at = word->data; at <= end;)
	{
		const char *comma = memchr(at, ',', (size_t) (end - at));
		const char *stop = comma != NULL ? comma : end;

		if (!add_partitions(sources, at, (size_t) (stop - at)))
			return fail(words, "INVALIDARG invalid partition: expected '*', or ids, ranges such as "
							   "0-7 and keys, with commas between them");
		at = stop + 1;
	}
	return true;
}

/* Where single partitions begin; others begin at LATEST, or at DEFAULT. */
static bool
take_sequences(Words *words)
{
	SourceSet *sources = &words->arguments->sources;
	SourceStart *start;
	int64_t partition = 0;
	int64_t from;
	Word name;
	Uuid key;

	do
	{
		bool is_key;

		if (!take_entry(words, &name, &from))
			return false;
		is_key = uuid_parse(name.data, name.length, &key);
		if (!is_key && !to_partition(name.data, name.length, &partition))
			return fail(words, "INVALIDARG invalid partition in MAP: expected partition=sequence");
		start = source_add_start(sources);
		start->is_key = is_key;
		if (is_key)
			start->key = key;
		start->partition = partition;
		start->from = from;
	} while (!at_end_of_map(words));
	return !take_keyword(words, "DEFAULT") || take_number(words, &sources->default_from);
}

bool
parse_epsub(const Request *request, SubscribeArguments *arguments)
{
	Words words = {request, 1, arguments};
	SourceSet *sources = &arguments->sources;

	memset(arguments, 0, sizeof(*arguments));
	sources->is_partitions = true;
	sources->default_from = SOURCE_LATEST;
	if (!take_partitions(&words))
		return false;
	if (take_keyword(&words, "FROM") && !take_keyword(&words, "LATEST"))
	{
		if (take_keyword(&words, "MAP"))
		{
			if (!take_sequences(&words))
				return false;
		}
		else if (!take_number(&words, &sources->default_from))
			return fail_expected(&words, "LATEST, MAP or number");
	}
	return parse_end(&words);
}
