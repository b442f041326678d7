/*
 * json_slice.h
 *		Cuts parts out of a JSON text and leaves their bytes unchanged.
 */
#ifndef SIERRA_JSON_SLICE_H
#define SIERRA_JSON_SLICE_H

#include "c.h"

/* A part of a JSON text, without surrounding white space; points into that text. */
typedef struct SierraSlice
{
	const char *start;
	int length;
} SierraSlice;

/* Where reading a JSON text is. */
typedef struct SierraJsonReader
{
	const char *at;
	const char *end;
} SierraJsonReader;

/* Starts to read a text, which must be valid JSON, behind leading white space. */
extern SierraJsonReader sierra_json_begin(const text *json);

/* If c comes next, moves past c and the white space after it; false if it does not. */
extern bool sierra_json_accept(SierraJsonReader *reader, char c);

/* Cuts out the next value, of any kind, and moves past it and the white space after it. */
extern SierraSlice sierra_json_read(SierraJsonReader *reader);

typedef struct SierraJsonMember
{
	SierraSlice name; /* with its quotes */
	SierraSlice value;
} SierraJsonMember;

/* Starts to read an object, before its first member; false if json is not an object. */
extern bool sierra_json_begin_object(SierraJsonReader *reader, const text *json);

/* Reads the next member of the object; false after the last one. */
extern bool sierra_json_next_member(SierraJsonReader *reader, SierraJsonMember *member);

/*
 * The value of the last member of an object that has this name (written with its
 * quotes).  start is NULL if there is no such member, or json is not an object.
 */
extern SierraSlice sierra_json_member(const text *json, const char *name);

/* Are these the bytes of the slice? */
extern bool sierra_slice_is(SierraSlice slice, const char *text);

/* A copy of the bytes, palloc'd. */
extern text *sierra_slice_text(SierraSlice slice);

/* The bytes as a message shows them, palloc'd: the first 80 and "..." if there are more. */
extern char *sierra_slice_shown(SierraSlice slice);

/*
 * A string without quotes and escapes, any other value as it is.  Points into the same
 * text, or, if there were escapes, to palloc'd memory.
 */
extern SierraSlice sierra_slice_unescape(SierraSlice slice);

#endif /* SIERRA_JSON_SLICE_H */
