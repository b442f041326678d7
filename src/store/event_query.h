/*
 * event_query.h
 *		Queries: which events are meant, by their names and tags.
 *
 * A query is a JSON array of items such as {"types": ["A", "B"], "tags": ["x", "y"]}.  An
 * item matches an event whose name is among its types and that has all its tags; without
 * types any name does, without tags any tags do.  A query matches what one of its items
 * matches.  A query without items matches every event.
 */
#ifndef SIERRA_EVENT_QUERY_H
#define SIERRA_EVENT_QUERY_H

#include "executor/tuptable.h"

/* The most items in a query, and types in an item; of tags there are SIERRA_TAGS_MAX. */
#define SIERRA_QUERY_ITEMS_MAX 64
#define SIERRA_QUERY_TYPES_MAX 64

typedef struct SierraQueryItem
{
	int type_count; /* 0: any name */
	text **types;
	int tag_count; /* 0: any tags */
	text **tags;   /* each once, in the order of the query */
} SierraQueryItem;

typedef struct SierraEventQuery
{
	int count; /* 0: every event */
	SierraQueryItem *items;
} SierraEventQuery;

/*
 * Reads a query from JSON text, or from NULL, which means every event.  Raises 22023 with
 * the place in DETAIL.
 */
extern void sierra_event_query_parse(const text *json, SierraEventQuery *query);

/* Does the query match the event in the slot? */
extern bool sierra_event_query_matches(const SierraEventQuery *query, TupleTableSlot *slot);

/* Does the query have items, each of them with a tag? */
extern bool sierra_event_query_is_tagged(const SierraEventQuery *query);

/* Does the event in the slot have any of these tags? */
extern bool sierra_event_has_any_tag(TupleTableSlot *slot, text *const *tags, int count);

#endif /* SIERRA_EVENT_QUERY_H */
