/*
 * decode_relation.h
 *		Which tables are partitions of stores, while WAL is decoded.
 */
#ifndef SIERRA_DECODE_RELATION_H
#define SIERRA_DECODE_RELATION_H

#include "store/event.h"

#include "access/attnum.h"
#include "utils/relcache.h"

/* What is known about a table that had changes. */
typedef struct SierraDecodeRelation
{
	Oid relid; /* hash key */
	bool valid;
	Oid parent;		/* of a partition, else InvalidOid */
	bool is_events; /* a partition of a store; only then is the rest set */
	NameData store;
	AttrNumber column[Natts_events]; /* the numbers that the columns of event.h have in it */
} SierraDecodeRelation;

/* Starts to remember tables, in this context and until it is deleted. */
extern void sierra_decode_relations_begin(MemoryContext context);

/*
 * What is known about an open table, as it was when the change was made.  Lives
 * until the decoding ends.
 */
extern const SierraDecodeRelation *sierra_decode_relation(Relation relation);

#endif /* SIERRA_DECODE_RELATION_H */
