/*
 * read_request.c
 *		Which events of the whole store a read is to return.
 */
#include "postgres.h"

#include "read/read_request.h"
#include "store/event.h"

bool
sierra_read_request_wants(const SierraReadAll *request, TupleTableSlot *slot)
{
	return sierra_filter_passes(&request->streams, &request->event_names, slot) &&
		   sierra_filter_passes_tags(&request->tags, slot) &&
		   (request->query == NULL || sierra_event_query_matches(request->query, slot)) &&
		   (request->wants == NULL || request->wants(request->arg, slot));
}

int64
sierra_read_request_reached(const SierraReadAll *request)
{
	if (request->past_horizon)
		return SIERRA_NONE;
	if (request->backward)
		return request->after >= 0 ? request->after - 1 : SIERRA_NONE;
	return request->bounded ? request->to : SIERRA_NONE;
}
