/*
 * metadata.c
 *		Metadata that a session gives to every event it appends.
 *
 * The bytes of the event's own members stay what they are; the others come
 * after them.  Names are compared as they are written.
 */
#include "postgres.h"

#include "guc.h"
#include "json_slice.h"
#include "metadata.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

typedef struct JsonMember
{
	SierraSlice name;
	SierraSlice value;
} JsonMember;

/* Begins at the first member of an object; false if it is none. */
static bool
begin_object(SierraJsonReader *reader, const text *json)
{
	*reader = sierra_json_begin(json);
	return sierra_json_accept(reader, '{');
}

/* False after the last one. */
static bool
next_member(SierraJsonReader *reader, JsonMember *member)
{
	(void) sierra_json_accept(reader, ',');
	if (sierra_json_accept(reader, '}'))
		return false;
	member->name = sierra_json_read(reader);
	(void) sierra_json_accept(reader, ':');
	member->value = sierra_json_read(reader);
	return true;
}

static bool
has_member(const text *json, SierraSlice name)
{
	SierraJsonReader reader;
	JsonMember member;

	if (!begin_object(&reader, json))
		return false;
	while (next_member(&reader, &member))
	{
		if (member.name.length == name.length &&
			memcmp(member.name.start, name.start, name.length) == 0)
			return true;
	}
	return false;
}

/* Up to the end of the last member: what may be gone on with; false if it is no object. */
static bool
copy_members(const text *json, StringInfo to)
{
	SierraJsonReader reader;
	JsonMember member;
	const char *start;
	const char *end;

	if (!begin_object(&reader, json))
		return false;
	start = end = reader.at;
	while (next_member(&reader, &member))
		end = member.value.start + member.value.length;
	appendStringInfoChar(to, '{');
	appendBinaryStringInfo(to, start, end - start);
	return true;
}

text *
sierra_metadata_complete(text *metadata)
{
	text *ours;
	StringInfoData result;
	SierraJsonReader reader;
	JsonMember member;

	if (sierra_guc_metadata[0] == '\0')
		return metadata;
	ours = cstring_to_text(sierra_guc_metadata);
	if (metadata == NULL)
		return ours;
	initStringInfo(&result);
	if (!copy_members(metadata, &result) || !begin_object(&reader, ours))
		return metadata;
	while (next_member(&reader, &member))
	{
		if (has_member(metadata, member.name))
			continue;
		if (result.len > 1)
			appendStringInfoString(&result, ", ");
		appendBinaryStringInfo(&result, member.name.start, member.name.length);
		appendStringInfoString(&result, ": ");
		appendBinaryStringInfo(&result, member.value.start, member.value.length);
	}
	appendStringInfoChar(&result, '}');
	return cstring_to_text_with_len(result.data, result.len);
}
