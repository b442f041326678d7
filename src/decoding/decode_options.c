/*
 * decode_options.c
 *		The options of the output plugin.
 *
 * An option or value that is not understood is refused.  If it were ignored,
 * events would be sent, or left out, without anybody noticing.  This runs
 * outside of transactions, so it must not read catalogs.
 */
#include "postgres.h"

#include "decoding/decode_options.h"
#include "store/event.h"
#include "store/store.h"

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

typedef struct Option
{
	const char *name;
	bool flag; /* without a value, the option is true */
	/* returns false if the value is not valid */
	bool (*read)(SierraDecodeOptions *options, const char *value);
	const char *hint;
} Option;

/* Reads a whole number from least to most; false if the value is anything else. */
static bool
read_number(const char *value, int64 least, int64 most, int64 *number)
{
	char *end;

	if (*value != '-' && (*value < '0' || *value > '9'))
		return false;
	errno = 0;
	*number = strtoi64(value, &end, 10);
	return errno == 0 && end != value && *end == '\0' && *number >= least && *number <= most;
}

/* The value as jsonb, or NULL if it is not JSON. */
static Jsonb *
read_json(const char *value)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum json = (Datum) 0;

	PG_TRY();
	{
		json = DirectFunctionCall1(jsonb_in, CStringGetDatum(value));
	}
	PG_CATCH();
	{
		int code = geterrcode();

		if (ERRCODE_TO_CATEGORY(code) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return DatumGetPointer(json) == NULL ? NULL : DatumGetJsonbP(json);
}

/* Reads a JSON array of strings; NIL if the value is not one, or a string is empty. */
static List *
read_json_names(const char *value)
{
	Jsonb *json = read_json(value);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue item;
	List *names = NIL;

	if (json == NULL || !JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		return NIL;
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvString || item.val.string.len == 0)
			return NIL;
		names = lappend(names, pnstrdup(item.val.string.val, item.val.string.len));
	}
	return names;
}

/*
 * Reads names that are separated by commas, without the spaces around them; NIL
 * if one is empty.
 */
static List *
read_listed_names(const char *value)
{
	List *names = NIL;

	for (const char *start = value;;)
	{
		const char *end = start + strcspn(start, ",");
		const char *next = end;

		while (start < end && *start == ' ')
			start++;
		while (end > start && end[-1] == ' ')
			end--;
		if (start == end)
			return NIL;
		names = lappend(names, pnstrdup(start, end - start));
		if (*next == '\0')
			return names;
		start = next + 1;
	}
}

static bool
read_names(const char *value, List **names)
{
	*names = *value == '[' ? read_json_names(value) : read_listed_names(value);
	return *names != NIL;
}

static bool
read_streams(SierraDecodeOptions *options, const char *value)
{
	return read_names(value, &options->streams);
}

static bool
read_event_names(SierraDecodeOptions *options, const char *value)
{
	return read_names(value, &options->event_names);
}

static bool
read_tags(SierraDecodeOptions *options, const char *value)
{
	return read_names(value, &options->tags);
}

static bool
read_format(SierraDecodeOptions *options, const char *value)
{
	static const SierraDecodeFormat *const formats[] = {&sierra_decode_json, &sierra_decode_binary};

	for (int i = 0; i < lengthof(formats); i++)
	{
		if (strcmp(value, formats[i]->name) == 0)
		{
			options->format = formats[i];
			return true;
		}
	}
	return false;
}

static bool
read_store(SierraDecodeOptions *options, const char *value)
{
	options->store = value;
	return *value != '\0' && strlen(value) < NAMEDATALEN;
}

/* Reads partitions as in "0-3,7". */
static bool
read_partitions(SierraDecodeOptions *options, const char *value)
{
	ListCell *cell;
	List *ranges = read_listed_names(value);

	foreach (cell, ranges)
	{
		char *range = lfirst(cell);
		char *dash = strchr(range, '-');
		int64 first;
		int64 last;

		if (dash != NULL)
			*dash = '\0';
		if (!read_number(range, 0, SIERRA_PARTITIONS_MAX - 1, &first) ||
			!read_number(dash != NULL ? dash + 1 : range, first, SIERRA_PARTITIONS_MAX - 1, &last))
			return false;
		options->partitions = bms_add_range(options->partitions, first, last);
	}
	return ranges != NIL;
}

static bool
read_after(SierraDecodeOptions *options, const char *value)
{
	return read_number(value, SIERRA_NONE, PG_INT64_MAX, &options->after);
}

/* Reads the last sequence of one partition. */
static bool
read_after_sequence(SierraDecodeOptions *options, const char *partition, const JsonbValue *value)
{
	int64 id;
	char *number;

	if (value->type != jbvNumeric || !read_number(partition, 0, SIERRA_PARTITIONS_MAX - 1, &id))
		return false;
	number = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	return read_number(number, SIERRA_NONE, PG_INT64_MAX - 1, &options->after_sequences[id]);
}

/*
 * Reads the last sequences as in {"0": 17, "3": 5}.  The other partitions are
 * read from their start.
 */
static bool
read_after_sequences(SierraDecodeOptions *options, const char *value)
{
	Jsonb *json = read_json(value);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue item;
	char *key = NULL;

	if (json == NULL || !JB_ROOT_IS_OBJECT(json))
		return false;
	options->after_sequences = palloc(sizeof(int64) * SIERRA_PARTITIONS_MAX);
	for (int i = 0; i < SIERRA_PARTITIONS_MAX; i++)
		options->after_sequences[i] = SIERRA_NONE;
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && !read_after_sequence(options, key, &item))
			return false;
	}
	return true;
}

static bool
read_on_gap(SierraDecodeOptions *options, const char *value)
{
	options->refuse_gaps = strcmp(value, "error") == 0;
	return options->refuse_gaps || strcmp(value, "ignore") == 0;
}

static bool
read_include_metadata(SierraDecodeOptions *options, const char *value)
{
	return parse_bool(value, &options->include_metadata);
}

static bool
read_include_payload(SierraDecodeOptions *options, const char *value)
{
	return parse_bool(value, &options->include_payload);
}

static bool
read_include_transactions(SierraDecodeOptions *options, const char *value)
{
	return parse_bool(value, &options->include_transactions);
}

static bool
read_single_line(SierraDecodeOptions *options, const char *value)
{
	return parse_bool(value, &options->single_line);
}

static bool
read_origin(SierraDecodeOptions *options, const char *value)
{
	options->local_only = strcmp(value, "none") == 0;
	return options->local_only || strcmp(value, "any") == 0;
}

#define NAMES_HINT "Separate them by commas, or write a JSON array of strings: [\"a,b\", \"c\"]."
#define FLAG_HINT "It is true or false."

static const Option known_options[] = {
	{"format", false, read_format, "Formats are json and binary."},
	{"store", false, read_store, "It is the name of a store, the schema of its tables."},
	{"streams", false, read_streams, NAMES_HINT},
	{"event_names", false, read_event_names, NAMES_HINT},
	{"tags", false, read_tags, NAMES_HINT},
	{"partitions", false, read_partitions, "Write numbers from 0 to 1023 and ranges: 0-3,7."},
	{"after", false, read_after, "It is a global position, or -1."},
	{"after_sequences", false, read_after_sequences,
	 "Write a JSON object that maps partitions to their last sequences: {\"0\": 17, \"3\": 5}."},
	{"on_gap", false, read_on_gap, "It is error or ignore."},
	{"include_metadata", true, read_include_metadata, FLAG_HINT},
	{"include_payload", true, read_include_payload, FLAG_HINT},
	{"include_transactions", true, read_include_transactions, FLAG_HINT},
	{"single_line", true, read_single_line, FLAG_HINT},
	{"origin", false, read_origin, "It is any or none."},
};

static void
report_unknown(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(known_options); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", known_options[i].name);
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("output plugin sierra_es has no option \"%s\"", name),
			errhint("Options are %s.", names.data));
}

/* Reads one option; returns its index in known_options. */
static int
read_option(SierraDecodeOptions *options, const DefElem *given)
{
	for (int i = 0; i < lengthof(known_options); i++)
	{
		const Option *option = &known_options[i];
		const char *value = given->arg != NULL ? strVal(given->arg) : option->flag ? "true" : NULL;

		if (strcmp(option->name, given->defname) != 0)
			continue;
		if (value == NULL)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" needs a value", option->name),
					errhint("%s", option->hint));
		if (!option->read(options, value))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" cannot be \"%s\"", option->name, value),
					errhint("%s", option->hint));
		return i;
	}
	report_unknown(given->defname);
	return -1;
}

/* Positions and sequences of different stores cannot be compared. */
static void
check_together(const SierraDecodeOptions *options)
{
	if (options->store == NULL &&
		(options->after != SIERRA_NONE || options->after_sequences != NULL))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("options \"after\" and \"after_sequences\" need option \"store\""),
				errdetail("Every store counts its own positions and sequences."),
				errhint("Name the store that they are of."));
}

SierraDecodeOptions *
sierra_decode_options_read(List *given)
{
	SierraDecodeOptions *options = palloc0(sizeof(SierraDecodeOptions));
	Bitmapset *seen = NULL;
	ListCell *cell;

	options->format = &sierra_decode_json;
	options->after = SIERRA_NONE;
	options->refuse_gaps = true;
	options->include_metadata = true;
	options->include_payload = true;
	options->include_transactions = true;
	foreach (cell, given)
	{
		const DefElem *element = lfirst(cell);
		int option = read_option(options, element);

		if (bms_is_member(option, seen))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" is given twice", element->defname),
					errhint("Put all its values into one."));
		seen = bms_add_member(seen, option);
	}
	check_together(options);
	return options;
}
