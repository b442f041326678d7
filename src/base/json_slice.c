/*
 * json_slice.c
 *		Cuts parts out of a JSON text and leaves their bytes unchanged.
 *
 * The server's JSON parser cannot do this: when it reports member names it also
 * removes the escapes of every string, and it refuses \u0000, which a value of
 * type json may contain.  The server checked the syntax when the value of type
 * json was made, so here we only have to find where each part ends.  Where we
 * need a string without escapes, a function of the server removes them.
 *
 * A text can have a gigabyte, so what reads it accepts interrupts.
 */
#include "postgres.h"

#include "base/json_slice.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Bytes of a text of the caller that a message shows. */
#define SHOWN_MAX 80

static void
skip_space(SierraJsonReader *reader)
{
	while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) != NULL)
		reader->at++;
}

SierraJsonReader
sierra_json_begin(const text *json)
{
	SierraJsonReader reader = {VARDATA_ANY(json), VARDATA_ANY(json) + VARSIZE_ANY_EXHDR(json)};

	skip_space(&reader);
	return reader;
}

bool
sierra_json_accept(SierraJsonReader *reader, char c)
{
	if (reader->at >= reader->end || *reader->at != c)
		return false;
	reader->at++;
	skip_space(reader);
	return true;
}

static void
skip_string(SierraJsonReader *reader)
{
	for (reader->at++; *reader->at != '"'; reader->at++)
	{
		if (*reader->at == '\\')
			reader->at++;
	}
	reader->at++;
}

SierraSlice
sierra_json_read(SierraJsonReader *reader)
{
	SierraSlice slice = {reader->at, 0};
	int depth = 0;

	do
	{
		char c = *reader->at;

		if (c == '"')
		{
			CHECK_FOR_INTERRUPTS();
			skip_string(reader);
			if (depth == 0)
				break;
			continue;
		}
		if (depth == 0 && strchr(",]} \t\n\r", c) != NULL)
			break;
		if (c == '{' || c == '[')
		{
			CHECK_FOR_INTERRUPTS();
			depth++;
		}
		else if (c == '}' || c == ']')
			depth--;
		reader->at++;
		if (depth == 0 && (c == '}' || c == ']'))
			break;
	} while (reader->at < reader->end);

	slice.length = reader->at - slice.start;
	skip_space(reader);
	return slice;
}

bool
sierra_json_begin_object(SierraJsonReader *reader, const text *json)
{
	*reader = sierra_json_begin(json);
	return sierra_json_accept(reader, '{');
}

bool
sierra_json_next_member(SierraJsonReader *reader, SierraJsonMember *member)
{
	(void) sierra_json_accept(reader, ',');
	if (sierra_json_accept(reader, '}'))
		return false;
	member->name = sierra_json_read(reader);
	(void) sierra_json_accept(reader, ':');
	member->value = sierra_json_read(reader);
	return true;
}

SierraSlice
sierra_json_member(const text *json, const char *name)
{
	SierraJsonReader reader;
	SierraJsonMember member;
	SierraSlice found = {NULL, 0};

	if (!sierra_json_begin_object(&reader, json))
		return found;
	while (sierra_json_next_member(&reader, &member))
	{
		if (sierra_slice_is(member.name, name))
			found = member.value;
	}
	return found;
}

bool
sierra_slice_is(SierraSlice slice, const char *text)
{
	return slice.length == (int) strlen(text) && memcmp(slice.start, text, slice.length) == 0;
}

text *
sierra_slice_text(SierraSlice slice)
{
	return cstring_to_text_with_len(slice.start, slice.length);
}

char *
sierra_slice_shown(SierraSlice slice)
{
	int length = pg_mbcliplen(slice.start, slice.length, SHOWN_MAX);

	return psprintf("%.*s%s", length, slice.start, length < slice.length ? "..." : "");
}

SierraSlice
sierra_slice_unescape(SierraSlice slice)
{
	LOCAL_FCINFO(fcinfo, 2);
	text *value;

	if (*slice.start != '"')
		return slice;
	if (memchr(slice.start, '\\', slice.length) == NULL)
		return (SierraSlice){slice.start + 1, slice.length - 2};

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(sierra_slice_text(slice));
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = PointerGetDatum(construct_empty_array(TEXTOID));
	fcinfo->args[1].isnull = false;
	value = DatumGetTextPP(json_extract_path_text(fcinfo));
	return (SierraSlice){VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}
