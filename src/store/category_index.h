/*
 * category_index.h
 *		The category index of a partition, by which a read finds the events of a category
 *		without reading the others.  create_category_index() makes it; a store need not
 *		have one.
 *
 * The category of a stream is the text before the first '-' of its name, or the whole
 * name.  The index is on (split_part(stream_id, '-', 1), partition_sequence).
 */
#ifndef SIERRA_CATEGORY_INDEX_H
#define SIERRA_CATEGORY_INDEX_H

#include "utils/relcache.h"

/* Columns of the index. */
#define Anum_category_index_category 1
#define Anum_category_index_sequence 2

/*
 * Is this the OID of an index on the columns of a category index, valid or not, of a
 * partition or of events?  It evaluates nothing.
 */
extern bool sierra_is_category_index(Oid index);

/*
 * Opens the category index of an open partition, with AccessShareLock.  NULL if it has
 * none that the active snapshot can use.
 */
extern Relation sierra_category_index_open(Relation partition);

#endif /* SIERRA_CATEGORY_INDEX_H */
