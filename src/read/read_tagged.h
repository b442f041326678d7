/*
 * read_tagged.h
 *		Reads the events of the whole store that have certain tags.
 */
#ifndef SIERRA_READ_TAGGED_H
#define SIERRA_READ_TAGGED_H

#include "read/read_request.h"
#include "read/sink.h"

/*
 * Can all events of a request be found by their tags?  If so, fills a query: each event that
 * is requested is matched by one of its items, each of which has tags.
 */
extern bool sierra_read_tagged_applies(const SierraReadAll *request, SierraEventQuery *tagged);

/* The same as sierra_read_all(), by that query. */
extern int64 sierra_read_tagged(const SierraStore *store, const SierraReadAll *request,
								const SierraEventQuery *tagged, SierraSink *sink);

#endif /* SIERRA_READ_TAGGED_H */
