/*
 * source.h
 *		Which events a subscription wants: streams, patterns of streams, partitions, each
 *		from a number on.
 *
 * A stream or partition has the number that its next event must have at least.  An event that
 * was delivered raises it, so the same event, read again elsewhere, is not wanted any more.
 */
#ifndef STORE_SOURCE_H
#define STORE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "store/event.h"

/* As the number to begin with: what is not committed yet. */
#define SOURCE_LATEST INT64_C(-1)
/* No event has this number. */
#define SOURCE_NEVER INT64_MAX

typedef struct SourceStream
{
	char *id;
	size_t length;
	uint32_t hash;
	/* The version that comes next, or SOURCE_LATEST until it is known. */
	int64_t next;
	bool is_latest;
} SourceStream;

typedef struct SourcePattern
{
	char *text;
	size_t length;
} SourcePattern;

/* Partitions as they were asked for, before their number is known. */
typedef struct SourceRange
{
	bool is_key;
	Uuid key;
	int64_t first;
	int64_t last;
} SourceRange;

/* Where one of the partitions begins. */
typedef struct SourceStart
{
	bool is_key;
	Uuid key;
	int64_t partition;
	int64_t from;
} SourceStart;

typedef struct SourceSet
{
	SourceStream *streams;
	int stream_count;
	/* places in streams, or -1, by hash */
	int *table;
	int table_size;

	SourcePattern *patterns;
	int pattern_count;
	/* the version at which the streams of patterns begin, or SOURCE_LATEST */
	int64_t pattern_from;
	/* with SOURCE_LATEST, by partition: the first sequence that was not committed yet */
	int64_t *latest;

	/* A set of partitions has neither streams nor patterns. */
	bool is_partitions;
	bool is_all;
	SourceRange *ranges;
	int range_count;
	SourceStart *starts;
	int start_count;
	/* where partitions begin that are not in starts */
	int64_t default_from;
	/* by partition: the sequence that comes next, or SOURCE_NEVER */
	int64_t *next;

	/* of the store, for latest and next */
	int partitions;
} SourceSet;

/* Sets begin as zero bytes. */
extern void source_set_free(SourceSet *set);

/* A stream that is there already keeps its number. */
extern SourceStream *source_add_stream(SourceSet *set, const char *id, size_t length, int64_t from);
extern SourceStream *source_find_stream(const SourceSet *set, const char *id, size_t length);
/* Begins at this version. */
extern void source_set_from(SourceStream *stream, int64_t from);
/* '*' is any text. */
extern void source_add_pattern(SourceSet *set, const char *text, size_t length);
extern bool source_matches_pattern(const SourceSet *set, const char *id, size_t length);
extern void source_add_range(SourceSet *set, int64_t first, int64_t last);
extern void source_add_key(SourceSet *set, const Uuid *key);
extern SourceStart *source_add_start(SourceSet *set);

/*
 * Gives each of the partitions its number, now that it is known how many there are, and what
 * sequences come next in them.  Partitions that do not exist are left out.
 */
extern void source_resolve(SourceSet *set, const int64_t *sequences, int partitions);

/* Does anything begin before what is not committed yet, patterns left aside? */
extern bool source_has_numbers(const SourceSet *set);
/* Are these all partitions, from their first events on? */
extern bool source_is_everything(const SourceSet *set);

/* Is the event wanted, and not delivered yet? */
extern bool source_wants(const SourceSet *set, const StoreEvent *event);
/* Notes that an event that was wanted is delivered. */
extern void source_take(SourceSet *set, const StoreEvent *event);

/* Does the text match the pattern, in which '*' is any text? */
extern bool pattern_matches(const char *pattern, size_t pattern_length, const char *text,
							size_t length);

#endif /* STORE_SOURCE_H */
