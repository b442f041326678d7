#include "server/drain.h"

#include <stdbool.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/client.h"
#include "server/listener.h"

static struct event_base *base;
static struct event *timer;
static bool is_draining;
static int64_t deadline;

static void
look(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval interval = {0, 10 * 1000};

	(void) fd;
	(void) what;
	(void) arg;
	if (client_count() > 0 && clock_usecs() < deadline)
	{
		evtimer_add(timer, &interval);
		return;
	}
	event_base_loopbreak(base);
}

void
drain_setup(struct event_base *event_base)
{
	base = event_base;
	timer = evtimer_new(base, look, NULL);
}

void
drain_begin(void)
{
	Client *next;

	if (is_draining)
	{
		event_base_loopbreak(base);
		return;
	}
	is_draining = true;
	deadline = clock_usecs() + settings.drain_time * INT64_C(1000);
	listeners_stop();
	/* a client may be gone when it has stopped */
	for (Client *client = client_first(); client != NULL; client = next)
	{
		next = client->next;
		client_stop_input(client);
	}
	look(-1, 0, NULL);
}

void
drain_end(void)
{
	if (client_count() > 0)
		log_line(LOG_WARNING, "%d clients are closed without an answer", client_count());
	while (client_first() != NULL)
		client_drop(client_first(), "closed by the end of the gateway");
}
