/*
 * main.c
 *		The program: reads its settings, and answers clients until it is stopped.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <event2/dns.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/settings.h"
#include "client/client.h"
#include "command/command.h"
#include "command/feed.h"
#include "server/drain.h"
#include "server/listener.h"
#include "server/metrics.h"
#include "server/systemd.h"
#include "server/tls.h"
#include "store/role.h"

/* Beside clients: connections to PostgreSQL, listeners, the loop's own. */
#define OTHER_FILES 300

/* systemd's journal notes the time of each line. */
static bool
log_needs_times(void)
{
	return getenv("JOURNAL_STREAM") == NULL;
}

/* As many files as clients are allowed, if the system lets us. */
static void
raise_file_limit(void)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t) settings.max_clients + OTHER_FILES;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur =
		limit.rlim_max == RLIM_INFINITY || wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_line(LOG_WARNING, "max_clients is %d, but at most %llu files may be open",
				 settings.max_clients, (unsigned long long) limit.rlim_cur);
}

static void
on_reload(evutil_socket_t number, short what, void *arg)
{
	SettingsError error;

	(void) number;
	(void) what;
	(void) arg;
	systemd_notify("RELOADING=1");
	if (!settings_reload(&error))
		log_line(LOG_ERROR, "kept the settings: %s", error.text);
	else
	{
		log_configure(settings.log_level, log_needs_times());
		raise_file_limit();
		if (tls_load())
			log_line(LOG_INFO, "read the settings again");
	}
	systemd_notify("READY=1");
}

static void
on_stop(evutil_socket_t number, short what, void *arg)
{
	(void) what;
	(void) arg;
	log_line(LOG_INFO, "stopping, after signal %d", (int) number);
	systemd_notify("STOPPING=1");
	drain_begin();
}

static void
watch_signal(struct event_base *base, int number, event_callback_fn callback)
{
	struct event *event = evsignal_new(base, number, callback, NULL);

	if (event == NULL || event_add(event, NULL) != 0)
		abort();
}

/* --help and --version work whatever else is said. */
static bool
answer_question(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
		{
			settings_print_help();
			return true;
		}
		if (strcmp(argv[i], "--version") == 0)
		{
			puts("sierra_gateway " SIERRA_VERSION);
			return true;
		}
	}
	return false;
}

static void
run(void)
{
	struct event_base *base = event_base_new();
	struct evdns_base *resolver;

	if (base == NULL)
		abort();
	resolver =
		evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (resolver == NULL)
	{
		/* no server for names: those of /etc/hosts are enough for many */
		resolver = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		evdns_base_load_hosts(resolver, NULL);
	}

	counters.started_at = clock_usecs();
	signal(SIGPIPE, SIG_IGN);
	store_setup(base, resolver);
	client_setup(base, command_find);
	feeds_setup();
	drain_setup(base);
	watch_signal(base, SIGTERM, on_stop);
	watch_signal(base, SIGINT, on_stop);
	watch_signal(base, SIGHUP, on_reload);
	store_connect_first();
	if (event_base_got_break(base) || !listeners_start(base) || !metrics_start(base))
		exit(event_base_got_break(base) ? 0 : 1);
	log_line(LOG_INFO, "sierra_gateway %s is ready", SIERRA_VERSION);
	systemd_notify("READY=1");
	event_base_dispatch(base);
	metrics_stop();
	drain_end();
	store_close();
	log_line(LOG_INFO, "stopped");
}

int
main(int argc, char **argv)
{
	SettingsError error;

	if (answer_question(argc, argv))
		return 0;
	log_configure(LOG_INFO, log_needs_times());
	if (!settings_load(argc, argv, &error))
	{
		log_line(LOG_ERROR, "%s", error.text);
		return 2;
	}
	if (settings_check_only())
	{
		if (!tls_load())
			return 2;
		puts("the settings are right");
		return 0;
	}
	log_configure(settings.log_level, log_needs_times());
	raise_file_limit();
	if (!tls_load())
		return 2;
	run();
	return 0;
}
