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
	List *tags;				/* char *; NIL: all, also events without tags */
	Bitmapset *partitions;	/* NULL: all */
	int64 after;			/* events up to this position are skipped */
	int64 *after_sequences; /* by partition, up to these sequences; or NULL */
	bool refuse_gaps;		/* raise an error if events after after_sequences are missing */
	bool include_metadata;
	bool include_payload;
	bool include_transactions;
	bool single_line;
	bool local_only; /* no events that logical replication brought here */
} SierraDecodeOptions;

/*
 * Reads a list of DefElem.  The result is allocated in the current memory
 * context.  Raises 22023 for an option that is unknown, is given twice or has
 * an invalid value.
 */
extern SierraDecodeOptions *sierra_decode_options_read(List *given);

#endif /* SIERRA_DECODE_OPTIONS_H */
