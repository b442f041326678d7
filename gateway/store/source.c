#include "store/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void
source_set_free(SourceSet *set)
{
	for (int i = 0; i < set->stream_count; i++)
		free(set->streams[i].id);
	for (int i = 0; i < set->pattern_count; i++)
		free(set->patterns[i].text);
	free(set->streams);
	free(set->table);
	free(set->patterns);
	free(set->latest);
	free(set->ranges);
	free(set->starts);
	free(set->next);
	memset(set, 0, sizeof(*set));
}

bool
pattern_matches(const char *pattern, size_t pattern_length, const char *text, size_t length)
{
	size_t at = 0;
	size_t in_pattern = 0;
	/* behind the last '*', and the first byte that this one does not stand for yet */
	size_t star = SIZE_MAX;
	size_t from = 0;

	while (at < length)
	{
		if (in_pattern < pattern_length && pattern[in_pattern] == '*')
		{
			star = ++in_pattern;
			from = at;
		}
		else if (in_pattern < pattern_length && pattern[in_pattern] == text[at])
		{
			in_pattern++;
			at++;
		}
		else if (star != SIZE_MAX)
		{
			in_pattern = star;
			at = ++from;
		}
		else
			return false;
	}
	while (in_pattern < pattern_length && pattern[in_pattern] == '*')
		in_pattern++;
	return in_pattern == pattern_length;
}

/* Makes room for one element more in an array that grows by doubling. */
static void *
grow(void *array, int count, size_t size)
{
	if (count > 0 && (count & (count - 1)) != 0)
		return array;
	return mem_resize(array, (size_t) (count > 0 ? count * 2 : 1) * size);
}

/* ---- streams ---- */

static uint32_t
hash_bytes(const char *bytes, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t) bytes[i]) * 16777619u;
	return hash ^ hash >> 15;
}

/* The place in the table where the stream is, or would be. */
static int
table_place(const SourceSet *set, const char *id, size_t length, uint32_t hash)
{
	uint32_t mask = (uint32_t) set->table_size - 1;
	uint32_t place = hash & mask;

	while (set->table[place] >= 0)
	{
		const SourceStream *stream = &set->streams[set->table[place]];

		if (stream->hash == hash && stream->length == length && memcmp(stream->id, id, length) == 0)
			break;
		place = (place + 1) & mask;
	}
	return (int) place;
}

/* At most half of the table is used. */
static void
grow_table(SourceSet *set)
{
	if (set->stream_count * 2 < set->table_size)
		return;
	set->table_size = set->table_size > 0 ? set->table_size * 2 : 8;
	set->table = mem_resize(set->table, (size_t) set->table_size * sizeof(int));
	for (int i = 0; i < set->table_size; i++)
		set->table[i] = -1;
	for (int i = 0; i < set->stream_count; i++)
	{
		const SourceStream *stream = &set->streams[i];

		set->table[table_place(set, stream->id, stream->length, stream->hash)] = i;
	}
}

SourceStream *
source_find_stream(const SourceSet *set, const char *id, size_t length)
{
	int place;

	if (set->stream_count == 0)
		return NULL;
	place = set->table[table_place(set, id, length, hash_bytes(id, length))];
	return place >= 0 ? &set->streams[place] : NULL;
}

void
source_set_from(SourceStream *stream, int64_t from)
{
	stream->next = from;
	stream->is_latest = from == SOURCE_LATEST;
}

SourceStream *
source_add_stream(SourceSet *set, const char *id, size_t length, int64_t from)
{
	SourceStream *stream = source_find_stream(set, id, length);

	if (stream != NULL)
		return stream;
	set->streams = grow(set->streams, set->stream_count, sizeof(SourceStream));
	stream = &set->streams[set->stream_count];
	stream->id = mem_copy(id, length);
	stream->length = length;
	stream->hash = hash_bytes(id, length);
	source_set_from(stream, from);
	set->stream_count++;
	grow_table(set);
	set->table[table_place(set, id, length, stream->hash)] = set->stream_count - 1;
	return stream;
}

void
source_add_pattern(SourceSet *set, const char *text, size_t length)
{
	SourcePattern *pattern;

	set->patterns = grow(set->patterns, set->pattern_count, sizeof(SourcePattern));
	pattern = &set->patterns[set->pattern_count++];
	pattern->text = mem_copy(text, length);
	pattern->length = length;
}

bool
source_matches_pattern(const SourceSet *set, const char *id, size_t length)
{
	for (int i = 0; i < set->pattern_count; i++)
	{
		if (pattern_matches(set->patterns[i].text, set->patterns[i].length, id, length))
			return true;
	}
	return false;
}

/* ---- partitions ---- */

static SourceRange *
add_range(SourceSet *set)
{
	SourceRange *range;

	set->ranges = grow(set->ranges, set->range_count, sizeof(SourceRange));
	range = &set->ranges[set->range_count++];
	memset(range, 0, sizeof(*range));
	return range;
}

void
source_add_range(SourceSet *set, int64_t first, int64_t last)
{
	SourceRange *range = add_range(set);

	range->first = first;
	range->last = last;
}

void
source_add_key(SourceSet *set, const Uuid *key)
{
	SourceRange *range = add_range(set);

	range->is_key = true;
	range->key = *key;
}

SourceStart *
source_add_start(SourceSet *set)
{
	SourceStart *start;

	set->starts = grow(set->starts, set->start_count, sizeof(SourceStart));
	start = &set->starts[set->start_count++];
	memset(start, 0, sizeof(*start));
	return start;
}

static void
set_next(SourceSet *set, int64_t partition, int64_t from, const int64_t *sequences)
{
	set->next[partition] = from == SOURCE_LATEST ? sequences[partition] : from;
}

static void
resolve_range(SourceSet *set, const SourceRange *range, const int64_t *sequences)
{
	int64_t first = range->first;
	int64_t last = range->last;

	if (range->is_key)
		first = last = uuid_partition(&range->key, set->partitions);
	for (int64_t partition = first; partition <= last && partition < set->partitions; partition++)
		set_next(set, partition, set->default_from, sequences);
}

static void
resolve_start(SourceSet *set, const SourceStart *start, const int64_t *sequences)
{
	int64_t partition =
		start->is_key ? uuid_partition(&start->key, set->partitions) : start->partition;

	/* an entry for a partition that was not asked for says nothing */
	if (partition < set->partitions && set->next[partition] != SOURCE_NEVER)
		set_next(set, partition, start->from, sequences);
}

void
source_resolve(SourceSet *set, const int64_t *sequences, int partitions)
{
	SourceRange all = {.first = 0, .last = INT64_MAX};

	set->partitions = partitions;
	if (set->pattern_count > 0 && set->pattern_from == SOURCE_LATEST)
	{
		set->latest = mem_alloc((size_t) partitions * sizeof(int64_t));
		memcpy(set->latest, sequences, (size_t) partitions * sizeof(int64_t));
	}
	if (!set->is_partitions)
		return;
	set->next = mem_alloc((size_t) partitions * sizeof(int64_t));
	for (int i = 0; i < partitions; i++)
		set->next[i] = SOURCE_NEVER;
	if (set->is_all)
		resolve_range(set, &all, sequences);
	for (int i = 0; i < set->range_count; i++)
		resolve_range(set, &set->ranges[i], sequences);
	for (int i = 0; i < set->start_count; i++)
		resolve_start(set, &set->starts[i], sequences);
}

bool
source_has_numbers(const SourceSet *set)
{
	for (int i = 0; i < set->stream_count; i++)
		if (!set->streams[i].is_latest)
			return true;
	for (int i = 0; i < set->start_count; i++)
		if (set->starts[i].from != SOURCE_LATEST)
			return true;
	return set->is_partitions && set->default_from != SOURCE_LATEST;
}

bool
source_is_everything(const SourceSet *set)
{
	return set->is_all && set->default_from == 0 && set->start_count == 0;
}

/* ---- events ---- */

bool
source_wants(const SourceSet *set, const StoreEvent *event)
{
	const SourceStream *stream;

	if (set->is_partitions)
		return event->partition_id >= 0 && event->partition_id < set->partitions &&
			   event->partition_sequence >= set->next[event->partition_id];
	stream = source_find_stream(set, event->stream_id, event->stream_id_length);
	if (stream != NULL)
		return event->stream_version >= stream->next;
	if (!source_matches_pattern(set, event->stream_id, event->stream_id_length))
		return false;
	if (set->latest != NULL)
		return event->partition_id >= 0 && event->partition_id < set->partitions &&
			   event->partition_sequence >= set->latest[event->partition_id];
	return event->stream_version >= set->pattern_from;
}

void
source_take(SourceSet *set, const StoreEvent *event)
{
	SourceStream *stream;

	if (set->is_partitions)
	{
		set->next[event->partition_id] = event->partition_sequence + 1;
		return;
	}
	stream = source_find_stream(set, event->stream_id, event->stream_id_length);
	if (stream != NULL)
		stream->next = event->stream_version + 1;
}
