/*
 * json_slice.h
 *		Cutting parts out of a JSON text as the very bytes that are there.
 */
#ifndef SIERRA_JSON_SLICE_H
#define SIERRA_JSON_SLICE_H

#include "c.h"

/* A part of a JSON text, without surrounding white space. */
typedef struct SierraSlice
{
	const char *start;
	int length;
} SierraSlice;

typedef struct SierraJsonReader
{
	const char *at;
	const char *end;
} SierraJsonReader;

/* At the first byte that is no white space of a text that is valid JSON. */
extern SierraJsonReader sierra_json_begin(const text *json);

/* Moves past c, and white space after it, if c comes next. */
extern bool sierra_json_accept(SierraJsonReader *reader, char c);

/* Cuts out the next value of any kind, and moves past white space after it. */
extern SierraSlice sierra_json_read(SierraJsonReader *reader);

typedef struct SierraJsonMember
{
	SierraSlice name; /* with its quotes */
	SierraSlice value;
} SierraJsonMember;

/* Before the first member of an object; false if json is none. */
extern bool sierra_json_begin_object(SierraJsonReader *reader, const text *json);

/* The next member; false after the last one. */
extern bool sierra_json_next_member(SierraJsonReader *reader, SierraJsonMember *member);

/*
 * The value of a member of an object, the last one of that name; no start if
 * there is none, or json is no object.  The name with its quotes.
 */
extern SierraSlice sierra_json_member(const text *json, const char *name);

extern bool sierra_slice_is(SierraSlice slice, const char *text);
extern text *sierra_slice_text(SierraSlice slice);

/* The text of a string, the digits of a number. */
extern char *sierra_slice_value(SierraSlice slice);

#endif /* SIERRA_JSON_SLICE_H */
