/*
 * event_query.c
 *		Queries: which events are meant, by their names and tags.
 */
#include "postgres.h"

#include "base/json_slice.h"
#include "base/text.h"
#include "store/event.h"
#include "store/event_query.h"
#include "store/event_tags.h"
#include "store/scan.h"

#include "miscadmin.h"
#include "utils/builtins.h"

/* Reads a query; element is the index of the item that is read, from 0, for messages. */
typedef struct Reader
{
	SierraJsonReader json;
	int element;
} Reader;

typedef enum Member
{
	MEMBER_TYPES,
	MEMBER_TAGS,
	MEMBER_COUNT
} Member;

/* What a member can have; what is what an element of it is called in messages. */
static const struct
{
	const char *name;
	const char *what;
	int most;
	const char *way_out; /* what to do instead of passing more */
} members[MEMBER_COUNT] = {
	{"types", "type", SIERRA_QUERY_TYPES_MAX,
	 "Write several items: a query matches what one of its items matches."},
	{"tags", "tag", SIERRA_TAGS_MAX,
	 "An item matches an event that has all of its tags, and an event cannot have more."}};

static void
refuse(const char *message, const char *detail)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
			errdetail("%s", detail),
			errhint("Pass [{\"types\": [\"...\"], \"tags\": [\"...\"]}, ...]; [] matches every "
					"event."));
}

static Member
read_member_name(Reader *reader)
{
	SierraSlice name = sierra_slice_unescape(sierra_json_read(&reader->json));

	for (int member = 0; member < MEMBER_COUNT; member++)
	{
		if (sierra_slice_is(name, members[member].name))
			return member;
	}
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("an item of a query has no member \"%s\"", sierra_slice_shown(name)),
			errdetail("Element %d of the query has it.", reader->element),
			errhint("The members are types and tags."));
}

/* The text of one type or tag, in memory of its own. */
static text *
read_text(Reader *reader, Member member)
{
	SierraSlice slice = sierra_json_read(&reader->json);
	const char *what = members[member].what;
	text *value;

	if (*slice.start != '"')
		refuse(psprintf("a %s of a query must be a string", what),
			   psprintf("Element %d of the query has %s.", reader->element,
						sierra_slice_shown(slice)));
	value = sierra_slice_text(sierra_slice_unescape(slice));
	if (!sierra_event_is_name(value))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a %s of a query must have 1 to %d bytes, without control characters", what,
					   SIERRA_NAME_MAX),
				errdetail("One with %d bytes is in element %d of the query.",
						  (int) VARSIZE_ANY_EXHDR(value), reader->element),
				errhint("An event cannot have such a %s.", what));
	return value;
}

/* Adds a text to an array that has room for it, unless the array has it already. */
static void
add_once(text **texts, int *count, text *value)
{
	for (int i = 0; i < *count; i++)
	{
		if (sierra_text_equal(texts[i], value))
			return;
	}
	texts[(*count)++] = value;
}

/* Reads an array of strings. */
static text **
read_texts(Reader *reader, Member member, int *count)
{
	int most = members[member].most;
	text **texts = palloc(sizeof(text *) * most);

	if (!sierra_json_accept(&reader->json, '['))
		refuse(
			psprintf("member \"%s\" of a query must be an array of strings", members[member].name),
			psprintf("In element %d of the query it is not an array.", reader->element));
	*count = 0;
	for (int read = 0; !sierra_json_accept(&reader->json, ']'); read++)
	{
		if (read == most)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("an item of a query can have at most %d %s", most, members[member].name),
					errdetail("Element %d of the query has more.", reader->element),
					errhint("%s", members[member].way_out));
		add_once(texts, count, read_text(reader, member));
		(void) sierra_json_accept(&reader->json, ',');
	}
	return texts;
}

static void
read_item(Reader *reader, SierraQueryItem *item)
{
	bool seen[MEMBER_COUNT] = {false};

	memset(item, 0, sizeof(*item));
	if (!sierra_json_accept(&reader->json, '{'))
		refuse("a query must be a JSON array of objects",
			   psprintf("Element %d of the query is not an object.", reader->element));
	while (!sierra_json_accept(&reader->json, '}'))
	{
		Member member = read_member_name(reader);

		(void) sierra_json_accept(&reader->json, ':');
		if (seen[member])
			refuse(psprintf("member \"%s\" of a query occurs twice", members[member].name),
				   psprintf("It is in element %d of the query.", reader->element));
		seen[member] = true;
		if (member == MEMBER_TYPES)
			item->types = read_texts(reader, member, &item->type_count);
		else
			item->tags = read_texts(reader, member, &item->tag_count);
		(void) sierra_json_accept(&reader->json, ',');
	}
}

void
sierra_event_query_parse(const text *json, SierraEventQuery *query)
{
	Reader reader;
	int capacity = 4;

	*query = (SierraEventQuery){0, NULL};
	if (json == NULL)
		return;
	reader.json = sierra_json_begin(json);
	if (!sierra_json_accept(&reader.json, '['))
		refuse("a query must be a JSON array of objects", "The value is not an array.");
	query->items = palloc(sizeof(SierraQueryItem) * capacity);
	for (reader.element = 0; !sierra_json_accept(&reader.json, ']'); reader.element++)
	{
		CHECK_FOR_INTERRUPTS();
		if (reader.element == SIERRA_QUERY_ITEMS_MAX)
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a query can have at most %d items", SIERRA_QUERY_ITEMS_MAX),
					errdetail("The value has more elements."),
					errhint("Items with the same tags can be one item with several types."));
		if (query->count == capacity)
		{
			capacity *= 2;
			query->items = repalloc(query->items, sizeof(SierraQueryItem) * capacity);
		}
		read_item(&reader, &query->items[query->count++]);
		(void) sierra_json_accept(&reader.json, ',');
	}
}

/* Places in SierraEventVarlenas. */
#define VALUE_EVENT_NAME (Anum_events_event_name - SIERRA_EVENT_FIXED_COLUMNS - 1)
#define VALUE_TAGS (Anum_events_tags - SIERRA_EVENT_FIXED_COLUMNS - 1)

/* What a query looks at: the name and the tags of an event. */
typedef struct Facts
{
	text *name;
	SierraTags tags;
	ArrayType *copy; /* that tags point into, or NULL */
	union
	{
		ArrayType array;
		char bytes[VARATT_SHORT_MAX + VARHDRSZ];
	} room; /* for a copy of an array of usual size */
} Facts;

/* An array that is stored with a short header is not aligned. */
static void
take_tags_apart(Facts *facts, struct varlena *stored)
{
	ArrayType *array;

	/* The header of a value that is stored elsewhere looks short too. */
	if (VARATT_IS_SHORT(stored) && !VARATT_IS_EXTERNAL(stored))
	{
		Size length = VARSIZE_SHORT(stored) - VARHDRSZ_SHORT;

		array = &facts->room.array;
		SET_VARSIZE(array, length + VARHDRSZ);
		memcpy(VARDATA(array), VARDATA_SHORT(stored), length);
	}
	else
	{
		array = DatumGetArrayTypeP(PointerGetDatum(stored));
		facts->copy = (struct varlena *) array != stored ? array : NULL;
	}
	sierra_tags_take_apart(array, &facts->tags);
}

/* Finds the values where a row has them, or else as those of any table are found. */
static void
find_facts(TupleTableSlot *slot, Facts *facts)
{
	SierraEventVarlenas values;
	struct varlena *tags;

	facts->copy = NULL;
	facts->tags.count = 0;
	if (sierra_event_fixed(slot) != NULL &&
		sierra_event_find_varlenas(((HeapTupleTableSlot *) slot)->tuple, &values))
	{
		facts->name = DatumGetTextPP(PointerGetDatum(values.at[VALUE_EVENT_NAME]));
		tags = (struct varlena *) values.at[VALUE_TAGS];
	}
	else
	{
		bool isnull;
		Datum value = slot_getattr(slot, Anum_events_tags, &isnull);

		facts->name = sierra_slot_text(slot, Anum_events_event_name);
		tags = isnull ? NULL : (struct varlena *) DatumGetPointer(value);
	}
	if (tags != NULL)
		take_tags_apart(facts, tags);
}

static void
free_facts(Facts *facts)
{
	if (facts->copy != NULL)
		pfree(facts->copy);
}

static bool
contains(const SierraTags *tags, const text *tag)
{
	for (int i = 0; i < tags->count; i++)
	{
		if (sierra_text_equal((text *) DatumGetPointer(tags->items[i]), tag))
			return true;
	}
	return false;
}

static bool
contains_all(const SierraTags *tags, text *const *wanted, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (!contains(tags, wanted[i]))
			return false;
	}
	return true;
}

static bool
has_type(const SierraQueryItem *item, const text *name)
{
	for (int i = 0; i < item->type_count; i++)
	{
		if (sierra_text_equal(item->types[i], name))
			return true;
	}
	return item->type_count == 0;
}

bool
sierra_event_query_matches(const SierraEventQuery *query, TupleTableSlot *slot)
{
	bool matches = false;
	Facts facts;

	if (query->count == 0)
		return true;
	find_facts(slot, &facts);
	for (int i = 0; i < query->count && !matches; i++)
	{
		const SierraQueryItem *item = &query->items[i];

		matches =
			has_type(item, facts.name) && contains_all(&facts.tags, item->tags, item->tag_count);
	}
	free_facts(&facts);
	return matches;
}

bool
sierra_event_has_any_tag(TupleTableSlot *slot, text *const *wanted, int count)
{
	bool found = false;
	Facts facts;

	find_facts(slot, &facts);
	for (int i = 0; i < count && !found; i++)
		found = contains(&facts.tags, wanted[i]);
	free_facts(&facts);
	return found;
}

bool
sierra_event_query_is_tagged(const SierraEventQuery *query)
{
	for (int i = 0; i < query->count; i++)
	{
		if (query->items[i].tag_count == 0)
			return false;
	}
	return query->count > 0;
}
