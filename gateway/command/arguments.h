/*
 * arguments.h
 *		Words of a command, as the values that they spell.
 *
 * Each function returns false with a text that says what is wrong; the text has the code word.
 */
#ifndef COMMAND_ARGUMENTS_H
#define COMMAND_ARGUMENTS_H

#include "base/settings.h"
#include "base/uuid.h"
#include "frame/request.h"

typedef struct ArgumentError
{
	char text[400];
} ArgumentError;

/* Reads the words of a request one after the other. */
typedef struct Arguments
{
	const Request *request;
	int at;
	ArgumentError *error;
} Arguments;

/* A range of versions or sequences. */
typedef struct Range
{
	int64_t from;
	/* -1: to the end */
	int64_t to;
	bool is_empty;
} Range;

/* A partition, by its id or by a key. */
typedef struct PartitionArgument
{
	bool is_key;
	Uuid key;
	int id;
} PartitionArgument;

extern bool __attribute__((format(printf, 2, 3)))
argument_fail(Arguments *arguments, const char *format, ...);
/* The next word; missing, or not a string, it is an error that says that name was expected. */
extern const Word *argument_next(Arguments *arguments, const char *name);
extern bool arguments_at_end(const Arguments *arguments);
/* Is the next word this keyword?  Then it is taken. */
extern bool argument_keyword(Arguments *arguments, const char *keyword);

extern bool argument_stream(Arguments *arguments, const Word **stream);
extern bool argument_event_name(Arguments *arguments, const Word **name);
extern bool argument_number(Arguments *arguments, const char *name, int64_t *value);
/* name: for the error, such as "event id" */
extern bool argument_uuid(Arguments *arguments, const char *name, Uuid *uuid);
/* A UUID, or a text that is hashed to one. */
extern bool argument_key(Arguments *arguments, Uuid *key);
extern bool argument_bytes(Arguments *arguments, const char *name, const Word **bytes);
/* What a stream must be at; numbers count as the dialect does. */
extern bool argument_expected_version(Arguments *arguments, Dialect dialect, int64_t *version);
extern bool argument_timestamp(Arguments *arguments, int64_t *msecs);
/* Start and end; what: "version" or "sequence". */
extern bool argument_range(Arguments *arguments, Dialect dialect, const char *what, Range *range);
extern bool argument_partition(Arguments *arguments, PartitionArgument *partition);
/* Behind the last argument. */
extern bool argument_end(Arguments *arguments);

#endif /* COMMAND_ARGUMENTS_H */
