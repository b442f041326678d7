/*
 * read_all.h
 *		The read engine: the whole store, in the order of global positions.
 */
#ifndef SIERRA_READ_ALL_H
#define SIERRA_READ_ALL_H

#include "sink.h"
#include "store.h"

/* Texts of an array argument; a filter that is not given lets everything pass. */
typedef struct SierraFilter
{
	bool given;
	int count;
	text **items;
} SierraFilter;

typedef struct SierraReadAll
{
	int64 after;		  /* first position is after + 1; backward: after - 1 */
	bool backward;		  /* with after < 0: from the horizon */
	SierraFilter streams; /* patterns, see pattern.h */
	SierraFilter event_names;
	int64 expected_rows; /* a guess, for the size of index scans */
} SierraReadAll;

/* Never skips: stops at the horizon, see horizon.h. */
extern void sierra_read_all(const SierraStore *store, const SierraReadAll *request,
							SierraSink *sink);

#endif /* SIERRA_READ_ALL_H */
