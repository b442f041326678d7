/*
 * metrics.h
 *		/metrics in the text format of Prometheus, and /health.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdbool.h>

struct event_base;

/* Listens if settings.metrics names an address; false if it cannot. */
extern bool metrics_start(struct event_base *base);
extern void metrics_stop(void);

#endif /* SERVER_METRICS_H */
