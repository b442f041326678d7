#include "store/hosts.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <libpq-fe.h>

#include "base/memory.h"
#include "base/settings.h"

#define MAX_HOSTS 16
/* An address as text. */
#define ADDRESS_SIZE 64

typedef struct Host
{
	const char *name;
	const char *port;
} Host;

struct HostLookup
{
	struct evdns_base *resolver;
	HostLookupDone done;
	void *arg;
	/* the lists of the connection string, cut at the commas */
	char *name_list;
	char *port_list;
	Host hosts[MAX_HOSTS];
	int count;
	unsigned first;
	int looked_up;
	int found;
	struct evdns_getaddrinfo_request *request;
	struct event *later;
	/* what has been found */
	char names[2048];
	char addresses[2048];
	char ports[512];
	char error[300];
};

static void look_up_next(HostLookup *lookup);

void
host_lookup_cancel(HostLookup *lookup)
{
	if (lookup == NULL)
		return;
	/* without done(), the callback frees the lookup */
	if (lookup->request != NULL)
	{
		lookup->done = NULL;
		evdns_getaddrinfo_cancel(lookup->request);
		return;
	}
	if (lookup->later != NULL)
		event_free(lookup->later);
	free(lookup->name_list);
	free(lookup->port_list);
	free(lookup);
}

/* The lists stay as long as each other: an empty entry is one too. */
static void
append(char *list, size_t size, bool is_first, const char *value)
{
	size_t used = strlen(list);

	snprintf(list + used, size - used, "%s%s", is_first ? "" : ",", value);
}

static void
add_found(HostLookup *lookup, const Host *host, const char *address)
{
	bool is_first = lookup->found == 0;

	/* a list that is full keeps what it has; all three are cut at the same host */
	if (strlen(lookup->names) + strlen(host->name) + 2 > sizeof(lookup->names) ||
		strlen(lookup->addresses) + ADDRESS_SIZE + 2 > sizeof(lookup->addresses) ||
		strlen(lookup->ports) + strlen(host->port) + 2 > sizeof(lookup->ports))
		return;
	lookup->found++;
	append(lookup->names, sizeof(lookup->names), is_first, host->name);
	append(lookup->addresses, sizeof(lookup->addresses), is_first, address);
	append(lookup->ports, sizeof(lookup->ports), is_first, host->port);
}

static void
finish(HostLookup *lookup)
{
	HostList hosts = {lookup->names, lookup->addresses, lookup->ports};
	HostLookupDone done = lookup->done;

	if (lookup->count > 0 && lookup->found == 0)
		done(lookup->arg, NULL, lookup->error);
	else
		done(lookup->arg, &hosts, NULL);
	lookup->request = NULL;
	host_lookup_cancel(lookup);
}

static void
on_found(int error, struct evutil_addrinfo *found, void *arg)
{
	HostLookup *lookup = arg;
	const Host *host = &lookup->hosts[(lookup->first + lookup->looked_up) % lookup->count];

	lookup->request = NULL;
	if (lookup->done == NULL)
	{
		if (found != NULL)
			evutil_freeaddrinfo(found);
		host_lookup_cancel(lookup);
		return;
	}
	if (error != 0)
		snprintf(lookup->error, sizeof(lookup->error),
				 "could not find the address of host \"%.100s\": %s", host->name,
				 evutil_gai_strerror(error));
	for (struct evutil_addrinfo *one = found; one != NULL; one = one->ai_next)
	{
		char text[ADDRESS_SIZE];

		if (getnameinfo(one->ai_addr, (socklen_t) one->ai_addrlen, text, sizeof(text), NULL, 0,
						NI_NUMERICHOST) == 0)
			add_found(lookup, host, text);
	}
	if (found != NULL)
		evutil_freeaddrinfo(found);
	lookup->looked_up++;
	look_up_next(lookup);
}

/* Each name after the other; addresses are given back without a question to a server. */
static void
look_up_next(HostLookup *lookup)
{
	static const struct evutil_addrinfo hints = {.ai_family = PF_UNSPEC,
												 .ai_socktype = SOCK_STREAM};
	struct evdns_getaddrinfo_request *request;
	const Host *host = NULL;

	/* directories of local sockets have no address */
	while (lookup->looked_up < lookup->count)
	{
		host = &lookup->hosts[(lookup->first + lookup->looked_up) % lookup->count];
		if (host->name[0] != '/' && host->name[0] != '@' && host->name[0] != '\0')
			break;
		add_found(lookup, host, "");
		lookup->looked_up++;
	}
	if (lookup->looked_up == lookup->count)
	{
		finish(lookup);
		return;
	}
	/* an answer that is known comes before this returns, and frees the lookup */
	request = evdns_getaddrinfo(lookup->resolver, host->name, NULL, &hints, on_found, lookup);
	if (request != NULL)
		lookup->request = request;
}

/* Cuts a list at its commas; entries[i] is empty for a list that is shorter. */
static int
cut(char *list, const char **entries)
{
	int count = 0;

	while (list != NULL && count < MAX_HOSTS)
	{
		char *comma = strchr(list, ',');

		if (comma != NULL)
			*comma++ = '\0';
		entries[count++] = list;
		list = comma;
	}
	return count;
}

static char *
find_value(PQconninfoOption *options, const char *keyword, const char *variable)
{
	const char *value = getenv(variable);

	for (PQconninfoOption *option = options; option->keyword != NULL; option++)
		if (strcmp(option->keyword, keyword) == 0 && option->val != NULL)
			value = option->val;
	return value != NULL && value[0] != '\0' ? mem_text(value) : NULL;
}

/* Nothing is looked up where libpq has addresses, takes its default, or reads a service file. */
static void
read_hosts(HostLookup *lookup)
{
	PQconninfoOption *options = PQconninfoParse(settings.database, NULL);
	const char *names[MAX_HOSTS];
	const char *ports[MAX_HOSTS];
	char *address;
	char *service;
	int port_count;

	if (options == NULL)
		return;
	address = find_value(options, "hostaddr", "PGHOSTADDR");
	service = find_value(options, "service", "PGSERVICE");
	lookup->name_list = find_value(options, "host", "PGHOST");
	lookup->port_list = find_value(options, "port", "PGPORT");
	PQconninfoFree(options);
	if (address == NULL && service == NULL)
	{
		lookup->count = cut(lookup->name_list, names);
		port_count = cut(lookup->port_list, ports);
		for (int i = 0; i < lookup->count; i++)
		{
			lookup->hosts[i].name = names[i];
			/* one port is that of all hosts */
			lookup->hosts[i].port =
				port_count == 0 ? "" : ports[port_count == 1 ? 0 : i % port_count];
		}
	}
	free(address);
	free(service);
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	look_up_next(arg);
}

HostLookup *
host_lookup_start(struct event_base *base, struct evdns_base *resolver, unsigned attempt,
				  HostLookupDone done, void *arg)
{
	HostLookup *lookup = mem_zero(sizeof(HostLookup));

	lookup->resolver = resolver;
	lookup->done = done;
	lookup->arg = arg;
	read_hosts(lookup);
	lookup->first = lookup->count > 0 ? attempt % (unsigned) lookup->count : 0;
	lookup->later = evtimer_new(base, on_later, lookup);
	event_active(lookup->later, EV_TIMEOUT, 0);
	return lookup;
}
