/*
 * sequence_search.h
 *		Fetches many events of a partition by their sequences.
 */
#ifndef SIERRA_SEQUENCE_SEARCH_H
#define SIERRA_SEQUENCE_SEARCH_H

#include "executor/tuptable.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef struct SierraSequenceSearch
{
	Relation rel; /* the partition */
	Relation index;
	Snapshot snapshot;
	TupleTableSlot *slot; /* of the event that was found */
	struct BTScanInsertData *key;
	char *copy; /* of the page above the leaf page of the last descent, or NULL */
	bool has_copy;
} SierraSequenceSearch;

/* Begins to search in a partition and its sequence index, which the caller keeps open. */
extern void sierra_sequence_search_begin(SierraSequenceSearch *search, Relation rel, Relation index,
										 Snapshot snapshot);

/* Puts the event with this sequence into the slot; false if the snapshot does not see it. */
extern bool sierra_sequence_search_fetch(SierraSequenceSearch *search, int64 sequence);

extern void sierra_sequence_search_end(SierraSequenceSearch *search);

#endif /* SIERRA_SEQUENCE_SEARCH_H */
