/*
 * counters.h
 *		What the gateway has done since it started, for INFO and /metrics.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdint.h>

typedef struct Counters
{
	int64_t started_at;
	uint64_t connections;
	uint64_t rejected_connections;
	uint64_t commands;
	uint64_t errors;
	uint64_t protocol_errors;
	uint64_t logins;
	uint64_t failed_logins;
	uint64_t appends;
	uint64_t appended_events;
	uint64_t refused_appends;
	uint64_t batches;
	uint64_t split_batches;
	uint64_t reads;
	uint64_t read_events;
	uint64_t lost_links;
	uint64_t pushed_events;
} Counters;

extern Counters counters;

#endif /* BASE_COUNTERS_H */
