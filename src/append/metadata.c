/*
 * metadata.c
 *		The metadata that a session adds to every event that it appends.
 *
 * The bytes of the event's own members stay unchanged; the added members come after
 * them.  Names are compared byte by byte, without regard to escapes.
 */
#include "postgres.h"

#include "append/metadata.h"
#include "base/guc.h"
#include "base/json_slice.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

static bool
has_member(const text *json, SierraSlice name)
{
	SierraJsonReader reader;
	SierraJsonMember member;

	if (!sierra_json_begin_object(&reader, json))
		return false;
	while (sierra_json_next_member(&reader, &member))
	{
		if (member.name.length == name.length &&
			memcmp(member.name.start, name.start, name.length) == 0)
			return true;
	}
	return false;
}

/* Copies an object without its closing brace; false if json is not an object. */
static bool
copy_members(const text *json, StringInfo to)
{
	SierraJsonReader reader;
	SierraJsonMember member;
	const char *start;
	const char *end;

	if (!sierra_json_begin_object(&reader, json))
		return false;
	start = end = reader.at;
	while (sierra_json_next_member(&reader, &member))
		end = member.value.start + member.value.length;
	appendStringInfoChar(to, '{');
	appendBinaryStringInfo(to, start, end - start);
	return true;
}

text *
sierra_metadata_of_session(void)
{
	return sierra_guc_metadata[0] == '\0' ? NULL : cstring_to_text(sierra_guc_metadata);
}

text *
sierra_metadata_complete(text *metadata, text *added)
{
	StringInfoData result;
	SierraJsonReader reader;
	SierraJsonMember member;

	if (added == NULL)
		return metadata;
	if (metadata == NULL)
		return added;
	initStringInfo(&result);
	if (!copy_members(metadata, &result) || !sierra_json_begin_object(&reader, added))
		return metadata;
	while (sierra_json_next_member(&reader, &member))
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
