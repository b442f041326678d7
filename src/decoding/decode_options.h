/*
 * decode_options.h
 *		The options of the output plugin.
 */
#ifndef SIERRA_DECODE_OPTIONS_H
#define SIERRA_DECODE_OPTIONS_H

#include "decoding/decode_format.h"

#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

typedef struct SierraDecodeOptions
{
	const SierraDecodeFormat *format;
	const char *store;		/* NULL: all stores */
	List *streams;			/* patterns, char *; NIL: all */
	List *event_names;		/* char *; NIL: all */
	Bitmapset *partitions;	/* NULL: all */
	int64 after;			/* skip events up to this position */
	int64 *after_sequences; /* skip up to these sequences, by partition; or NULL */
	bool refuse_gaps;		/* against after_sequences */
	bool include_payload;
	bool include_transactions;
	bool single_line;
	bool local_only; /* nothing that replication brought */
} SierraDecodeOptions;

/*
 * Reads a list of DefElem.  The result is palloc'd in the current context.
 * Raises 22023 for options that are unknown, twice there, or without sense.
 */
extern SierraDecodeOptions *sierra_decode_options_read(List *given);

#endif /* SIERRA_DECODE_OPTIONS_H */
