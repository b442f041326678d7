#include "server/metrics.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/listen_address.h"
#include "base/log.h"
#include "client/client.h"
#include "store/role.h"

/* A request of a monitor has a line and a few headers. */
#define MAX_REQUEST_BYTES 8192
#define TIMEOUT_SECONDS 10

typedef struct Metric
{
	const char *name;
	const char *help;
	const uint64_t *value;
} Metric;

static const Metric metrics[] = {
	{"connections_total", "Connections of clients that were accepted.", &counters.connections},
	{"rejected_connections_total", "Connections that were refused because of max_clients.",
	 &counters.rejected_connections},
	{"commands_total", "Commands that were read.", &counters.commands},
	{"errors_total", "Commands that were answered with an error.", &counters.errors},
	{"protocol_errors_total", "Connections that were closed because of malformed input.",
	 &counters.protocol_errors},
	{"logins_total", "Logins by AUTH and HELLO.", &counters.logins},
	{"failed_logins_total", "Logins that were refused.", &counters.failed_logins},
	{"appends_total", "Appends that were sent to PostgreSQL.", &counters.appends},
	{"appended_events_total", "Events that were stored.", &counters.appended_events},
	{"refused_appends_total", "Appends that were refused, such as for their expected version.",
	 &counters.refused_appends},
	{"batches_total", "Transactions that committed appends together.", &counters.batches},
	{"split_batches_total", "Batches that failed and were repeated one by one.",
	 &counters.split_batches},
	{"reads_total", "Reads that were sent to PostgreSQL.", &counters.reads},
	{"read_events_total", "Events in answers to reads.", &counters.read_events},
	{"lost_links_total", "Connections to PostgreSQL that were lost.", &counters.lost_links},
	{"pushed_events_total", "Events that were pushed to subscribers.", &counters.pushed_events},
};

static struct evhttp *server;

static void
answer_metrics(struct evhttp_request *request, void *arg)
{
	struct evbuffer *text = evbuffer_new();

	(void) arg;
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		evbuffer_add_printf(text,
							"# HELP sierra_gateway_%s %s\n# TYPE sierra_gateway_%s counter\n"
							"sierra_gateway_%s %llu\n",
							metrics[i].name, metrics[i].help, metrics[i].name, metrics[i].name,
							(unsigned long long) *metrics[i].value);
	evbuffer_add_printf(text,
						"# HELP sierra_gateway_clients Clients that are connected.\n"
						"# TYPE sierra_gateway_clients gauge\nsierra_gateway_clients %d\n",
						client_count());
	evbuffer_add_printf(
		text,
		"# HELP sierra_gateway_uptime_seconds Seconds since the start.\n"
		"# TYPE sierra_gateway_uptime_seconds gauge\nsierra_gateway_uptime_seconds %lld\n",
		(long long) (clock_usecs() - counters.started_at) / 1000000);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
					  "text/plain; version=0.0.4; charset=utf-8");
	evhttp_send_reply(request, HTTP_OK, "OK", text);
	evbuffer_free(text);
}

/* Can the store be reached?  As it was when it was last used. */
static void
answer_health(struct evhttp_request *request, void *arg)
{
	struct evbuffer *text = evbuffer_new();
	bool down = !store_is_reachable();

	(void) arg;
	evbuffer_add_printf(text, down ? "the store cannot be reached\n" : "ok\n");
	evhttp_send_reply(request, down ? HTTP_SERVUNAVAIL : HTTP_OK,
					  down ? "Service Unavailable" : "OK", text);
	evbuffer_free(text);
}

bool
metrics_start(struct event_base *base)
{
	char *host;
	char *port;
	bool good;

	if (settings.metrics[0] == '\0')
		return true;
	if (!listen_address_split(settings.metrics, DEFAULT_METRICS_PORT, &host, &port))
		return false;
	server = evhttp_new(base);
	evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(server, MAX_REQUEST_BYTES);
	evhttp_set_max_body_size(server, MAX_REQUEST_BYTES);
	evhttp_set_timeout(server, TIMEOUT_SECONDS);
	evhttp_set_cb(server, "/metrics", answer_metrics, NULL);
	evhttp_set_cb(server, "/health", answer_health, NULL);
	good = evhttp_bind_socket(server, strcmp(host, "*") == 0 ? NULL : host,
							  (unsigned short) atoi(port)) == 0;
	if (!good)
		log_line(LOG_ERROR, "could not listen on %s for metrics", settings.metrics);
	free(host);
	free(port);
	return good;
}

void
metrics_stop(void)
{
	if (server != NULL)
		evhttp_free(server);
	server = NULL;
}
