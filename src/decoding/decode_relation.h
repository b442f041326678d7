/*
 * decode_relation.h
 *		Which tables are partitions of stores, while WAL is decoded.
 */
#ifndef SIERRA_DECODE_RELATION_H
#define SIERRA_DECODE_RELATION_H

#include "store/event.h"

#include "access/attnum.h"
#include "utils/relcache.h"

/* What is known about a table whose changes were met. */
typedef struct SierraDecodeRelation
{
	Oid relid; /* hash key */
	bool valid;
	Oid parent;		/* of a partition, else InvalidOid */
	bool is_events; /* a partition of a store; what follows is set then only */
	NameData store;
	AttrNumber column[Natts_events]; /* where it has the columns of event.h */
} SierraDecodeRelation;

/* Starts to remember tables, as long as the context lives. */
extern void sierra_decode_relations_begin(MemoryContext context);

/* What is known about an open table as it was when the change was made. */
extern const SierraDecodeRelation *sierra_decode_relation(Relation relation);

#endif /* SIERRA_DECODE_RELATION_H */
