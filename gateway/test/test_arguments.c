/*
 * test_arguments.c
 *		Words of commands, and the errors that clients get for them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "command/append_arguments.h"
#include "test/tap.h"

/* A request of a line: words separated by blanks, '~' for an empty word. */
static Request *
request_of(char *line)
{
	Request *request = mem_zero(sizeof(Request));
	char *rest = line;
	char *word;

	request->words = mem_zero(40 * sizeof(Word));
	while ((word = strtok_r(rest, " ", &rest)) != NULL)
	{
		if (strcmp(word, "~") == 0)
			word[0] = '\0';
		request->words[request->count++] =
			(Word){.data = word, .length = strlen(word), .type = WORD_STRING};
	}
	return request;
}

/* The error of an append, "" if there is none. */
static void
append(const char *text, Dialect dialect, const char *wanted)
{
	char *line = mem_text(text);
	Request *request = request_of(line);
	StoreAppend parsed = {0};
	ArgumentError error = {""};
	Arguments arguments = {.request = request, .at = 1, .error = &error};
	bool is_multi = text[1] == 'M';
	bool good;

	good = is_multi ? parse_emappend(&arguments, dialect, &parsed)
					: parse_eappend(&arguments, dialect, &parsed);
	if (good)
		free(parsed.events);
	tap_ok(good == (wanted[0] == '\0') && strncmp(error.text, wanted, strlen(wanted)) == 0,
		   "%s: %s", text, good ? "taken" : error.text);
	request_free(request);
	free(line);
}

#define ID "ed389b27-52a3-5d70-9099-7a11547b8e8c"

/* The nil UUID is an id like any other: it must not be replaced. */
static void
test_nil_id(void)
{
	static const Uuid nil = {{0}};
	char line[] = "EMAPPEND k s E EVENT_ID 00000000-0000-0000-0000-000000000000 s E";
	Request *request = request_of(line);
	ArgumentError error;
	Arguments arguments = {.request = request, .at = 1, .error = &error};
	StoreAppend parsed = {0};
	bool good = parse_emappend(&arguments, DIALECT_SIERRADB, &parsed);

	tap_ok(good && memcmp(&parsed.events[0].event_id, &nil, sizeof(nil)) == 0 &&
			   memcmp(&parsed.events[1].event_id, &nil, sizeof(nil)) != 0,
		   "the nil UUID is an event id");
	free(parsed.events);
	request_free(request);
}

static void
test_append_errors(void)
{
	append("EAPPEND s E", DIALECT_SIERRADB, "");
	append("EAPPEND s E metadata m PAYLOAD p timestamp 0 expected_version Empty event_id " ID
		   " partition_key k",
		   DIALECT_SIERRADB, "");
	append("EAPPEND", DIALECT_SIERRADB, "INVALIDARG unexpected end of input: expected stream id");
	append("EAPPEND s", DIALECT_SIERRADB,
		   "INVALIDARG unexpected end of input: expected event name");
	append("EAPPEND ~ E", DIALECT_SIERRADB,
		   "INVALIDARG stream id must be between 1 and 255 characters in length, but got 0 for ''");
	append("EAPPEND s ~", DIALECT_SIERRADB, "INVALIDARG event name must be between 1 and 255");
	append("EAPPEND s E FOO", DIALECT_SIERRADB,
		   "INVALIDARG unexpected string: expected EVENT_ID, PARTITION_KEY, EXPECTED_VERSION, "
		   "TIMESTAMP, PAYLOAD, METADATA or end of input");
	append("EAPPEND s E PAYLOAD", DIALECT_SIERRADB,
		   "INVALIDARG unexpected end of input: expected payload");
	append("EAPPEND s E PAYLOAD a PAYLOAD b", DIALECT_SIERRADB,
		   "INVALIDARG payload already specified");
	append("EAPPEND s E PAYLOAD ~ PAYLOAD b", DIALECT_SIERRADB,
		   "INVALIDARG payload already specified");
	append("EAPPEND s E METADATA a METADATA b", DIALECT_SIERRADB,
		   "INVALIDARG metadata already specified");
	append("EAPPEND s E EVENT_ID " ID " EVENT_ID " ID, DIALECT_SIERRADB,
		   "INVALIDARG event id already specified");
	append("EAPPEND s E PARTITION_KEY a PARTITION_KEY b", DIALECT_SIERRADB,
		   "INVALIDARG partition key already specified");
	append("EAPPEND s E TIMESTAMP 1 TIMESTAMP 1", DIALECT_SIERRADB,
		   "INVALIDARG timestamp already specified");
	append("EAPPEND s E EXPECTED_VERSION any EXPECTED_VERSION 1", DIALECT_SIERRADB,
		   "INVALIDARG expected version already specified");
	append("EAPPEND s E EVENT_ID x", DIALECT_SIERRADB, "INVALIDARG invalid event id");
	append("EAPPEND s E PARTITION_KEY ~", DIALECT_SIERRADB, "INVALIDARG invalid partition key");
	append("EAPPEND s E EXPECTED_VERSION -1", DIALECT_SIERRADB,
		   "INVALIDARG invalid expected version");
	append("EAPPEND s E EXPECTED_VERSION 9223372036854775808", DIALECT_SIERRADB,
		   "INVALIDARG invalid expected version");
	append("EAPPEND s E TIMESTAMP 18446744073710", DIALECT_SIERRADB,
		   "INVALIDARG invalid timestamp format: expected milliseconds, got nanoseconds");
	append("EAPPEND s E TIMESTAMP x", DIALECT_SIERRADB,
		   "INVALIDARG invalid timestamp: expected number");
	append("EMAPPEND", DIALECT_SIERRADB,
		   "INVALIDARG unexpected end of input: expected partition key");
	append("EMAPPEND k", DIALECT_SIERRADB,
		   "INVALIDARG unexpected end of input: expected stream id");
	append("EMAPPEND k s", DIALECT_SIERRADB,
		   "INVALIDARG unexpected end of input: expected event name");
	append("EMAPPEND k s E t F u G v H w I", DIALECT_SIERRADB, "");
	append("EMAPPEND k s E PARTITION_KEY", DIALECT_SIERRADB,
		   "INVALIDARG unexpected end of input: expected event name");
}

static void
test_strict(void)
{
	settings.strict_versioning = true;
	append("EAPPEND s E", DIALECT_SIERRADB,
		   "INVALIDARG strict versioning mode rejects EXPECTED_VERSION any");
	append("EAPPEND s E EXPECTED_VERSION exists", DIALECT_SIERRADB,
		   "INVALIDARG strict versioning mode rejects EXPECTED_VERSION exists");
	append("EMAPPEND k s E EXPECTED_VERSION 0 t F", DIALECT_SIERRADB,
		   "INVALIDARG strict versioning mode rejects");
	append("EAPPEND s E EXPECTED_VERSION empty", DIALECT_SIERRADB, "");
	settings.strict_versioning = false;
}

static void
version(const char *word, Dialect dialect, int64_t wanted)
{
	Word words[] = {{.data = (char *) word, .length = strlen(word), .type = WORD_STRING}};
	Request request = {.count = 1, .words = words};
	ArgumentError error;
	Arguments arguments = {.request = &request, .error = &error};
	int64_t found;

	tap_ok(argument_expected_version(&arguments, dialect, &found) && found == wanted,
		   "expected version %s, dialect %d", word, dialect);
}

static void
range(const char *from, const char *to, Dialect dialect, int64_t wanted_from, int64_t wanted_to,
	  bool is_empty)
{
	Word words[] = {{.data = (char *) from, .length = strlen(from), .type = WORD_STRING},
					{.data = (char *) to, .length = strlen(to), .type = WORD_NUMBER}};
	Request request = {.count = 2, .words = words};
	ArgumentError error = {""};
	Arguments arguments = {.request = &request, .error = &error};
	Range found;
	bool good = argument_range(&arguments, dialect, "version", &found);

	tap_ok(good && found.is_empty == is_empty &&
			   (is_empty || (found.from == wanted_from && found.to == wanted_to)),
		   "range %s %s, dialect %d %s", from, to, dialect, error.text);
}

static void
no_range(const char *from, const char *to, const char *wanted)
{
	Word words[] = {{.data = (char *) from, .length = strlen(from), .type = WORD_STRING},
					{.data = (char *) to, .length = strlen(to), .type = WORD_STRING}};
	Request request = {.count = 2, .words = words};
	ArgumentError error = {""};
	Arguments arguments = {.request = &request, .error = &error};
	Range found;

	tap_ok(!argument_range(&arguments, DIALECT_SIERRADB, "version", &found) &&
			   strcmp(error.text, wanted) == 0,
		   "range %s %s: %s", from, to, error.text);
}

static void
test_ranges(void)
{
	range("-", "+", DIALECT_SIERRADB, 0, -1, false);
	range("3", "5", DIALECT_SIERRADB, 3, 5, false);
	range("0", "0", DIALECT_SIERRADB, 0, 0, false);
	range("5", "3", DIALECT_SIERRADB, 0, 0, true);
	range("9223372036854775807", "9223372036854775807", DIALECT_SIERRADB, INT64_MAX, INT64_MAX,
		  false);
	range("-", "+", DIALECT_TUTORIAL, 0, -1, false);
	range("1", "2", DIALECT_TUTORIAL, 0, 1, false);
	range("0", "1", DIALECT_TUTORIAL, 0, 0, false);
	range("-", "0", DIALECT_TUTORIAL, 0, 0, true);
	range("2", "1", DIALECT_TUTORIAL, 0, 0, true);
	no_range("+", "+", "INVALIDARG start version cannot be '+'");
	no_range("0", "-", "INVALIDARG end version cannot be '-'");
	no_range("a", "+", "INVALIDARG invalid start version: expected number or '-'");
	no_range("0", "9223372036854775808", "INVALIDARG invalid end version: expected number or '+'");
}

static void
test_types(void)
{
	Word words[] = {{.data = "t", .length = 1, .type = WORD_OTHER},
					{.data = "5", .length = 1, .type = WORD_NUMBER}};
	Request request = {.count = 2, .words = words};
	ArgumentError error = {""};
	Arguments arguments = {.request = &request, .error = &error};
	PartitionArgument partition;
	const Word *stream;
	int64_t number;

	tap_ok(!argument_stream(&arguments, &stream), "a boolean is not a name: %s", error.text);
	tap_ok(!argument_stream(&arguments, &stream), "a number is not a name: %s", error.text);
	arguments.at = 1;
	tap_ok(argument_number(&arguments, "count", &number) && number == 5, "an integer is a number");
	arguments.at = 1;
	tap_ok(argument_partition(&arguments, &partition) && !partition.is_key && partition.id == 5,
		   "an integer is a partition");
	words[1] = (Word){.data = "65536", .length = 5, .type = WORD_STRING};
	arguments.at = 1;
	tap_ok(!argument_partition(&arguments, &partition), "not a partition: %s", error.text);
	words[1] = (Word){.data = ID, .length = 36, .type = WORD_STRING};
	arguments.at = 1;
	tap_ok(argument_partition(&arguments, &partition) && partition.is_key,
		   "a partition by its key");
}

void
test_arguments(void)
{
	test_append_errors();
	test_nil_id();
	test_strict();
	version("any", DIALECT_SIERRADB, EXPECTED_ANY);
	version("EXISTS", DIALECT_SIERRADB, EXPECTED_EXISTS);
	version("Empty", DIALECT_TUTORIAL, EXPECTED_EMPTY);
	version("0", DIALECT_SIERRADB, 0);
	version("0", DIALECT_TUTORIAL, EXPECTED_EMPTY);
	version("3", DIALECT_TUTORIAL, 2);
	test_ranges();
	test_types();
}
