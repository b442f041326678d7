/*
 * table_shape.h
 *		What each table of a store looks like, and whether it still does.
 *
 * The owner of a store may alter every table of it.  C code reads tables by
 * column number and scans indexes by their columns, so it first asks here
 * whether a table has the columns, types and indexes that it relies on.  A table
 * that differs is reported as SE005, with the first difference in DETAIL.
 * everify() lists all differences from the same descriptions.
 *
 * The relation must be locked, which keeps the answer true until the lock goes.
 */
#ifndef SIERRA_TABLE_SHAPE_H
#define SIERRA_TABLE_SHAPE_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "utils/relcache.h"

#define SIERRA_INDEX_COLUMNS_MAX 5
#define SIERRA_INDEXES_MAX 3

typedef struct SierraColumnShape
{
	const char *name;
	Oid type; /* text has collation "C" unless it is free text */
	bool not_null;
	bool any_collation; /* free text, which nothing is ordered by */
} SierraColumnShape;

/* A unique index: btree, ascending, default operator classes, no predicate. */
typedef struct SierraIndexShape
{
	int count;
	AttrNumber columns[SIERRA_INDEX_COLUMNS_MAX];
} SierraIndexShape;

typedef struct SierraTableShape
{
	const char *name; /* NULL for the partitions of events, which have any name */
	char relkind;
	int column_count;
	const SierraColumnShape *columns;
	bool more_columns; /* users may add columns behind these */
	int index_count;
	SierraIndexShape indexes[SIERRA_INDEXES_MAX]; /* the first is the primary key */
} SierraTableShape;

extern const SierraTableShape sierra_events_shape;
extern const SierraTableShape sierra_partition_shape;
extern const SierraTableShape sierra_stream_keys_shape;
extern const SierraTableShape sierra_event_ids_shape;
extern const SierraTableShape sierra_event_tags_shape;

/* The other tables of a store, in no order; ends with NULL. */
extern const SierraTableShape *const sierra_other_shapes[];

/* The shape of the table of this name among all but partitions; NULL if there is none. */
extern const SierraTableShape *sierra_shape_of(const char *table);

/* Does a row type have the columns of the shape, in their order, nullable or not?  Cheap. */
extern bool sierra_shape_matches(TupleDesc desc, const SierraTableShape *shape);

/* The same of a table, which also has to be of the right kind, and logged.  Cheap. */
extern bool sierra_shape_has_columns(Relation rel, const SierraTableShape *shape);

/* Raises SE005 unless sierra_shape_has_columns(). */
extern void sierra_shape_check(Relation rel, const SierraTableShape *shape);

/* Is this open index one that the shape describes?  Cheap. */
extern bool sierra_shape_is_index(Relation index, const SierraIndexShape *shape);

/*
 * Opens an index of the table, by its place in the shape, with AccessShareLock.
 * Raises SE005 if the table does not have it.
 */
extern Relation sierra_shape_open_index(Relation rel, const SierraTableShape *shape, int place);

/* Raises SE005: the table does not have this index. */
extern void sierra_shape_report_index(Relation rel, const SierraTableShape *shape, int place);

/* All differences, one sentence each, in the current context; NIL if there are none. */
extern struct List *sierra_shape_differences(Relation rel, const SierraTableShape *shape);

#endif /* SIERRA_TABLE_SHAPE_H */
