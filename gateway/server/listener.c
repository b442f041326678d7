#include "server/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "client/client.h"
#include "server/systemd.h"
#include "server/tls.h"

/* An address may have several sockets: IPv4 and IPv6. */
typedef struct Listener
{
	struct evconnlistener *socket;
	const ListenAddress *address;
	struct Listener *next;
} Listener;

static struct event_base *base;
static Listener *listeners;
static struct event *pause_timer;

#define BACKLOG 1024

static void
resume(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	for (Listener *listener = listeners; listener != NULL; listener = listener->next)
		evconnlistener_enable(listener->socket);
}

/* Without file descriptors, accept fails again at once; so it waits until some are free. */
static void
on_error(struct evconnlistener *socket, void *arg)
{
	const struct timeval pause = {0, 200 * 1000};
	int error = EVUTIL_SOCKET_ERROR();

	(void) socket;
	(void) arg;
	log_line(LOG_WARNING, "could not accept a connection: %s",
			 evutil_socket_error_to_string(error));
	for (Listener *listener = listeners; listener != NULL; listener = listener->next)
		evconnlistener_disable(listener->socket);
	evtimer_add(pause_timer, &pause);
}

static void
write_address(const struct sockaddr *address, int length, char *text, size_t size)
{
	char host[46];
	char port[8];

	if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
		snprintf(text, size, "local");
	else if (getnameinfo(address, (socklen_t) length, host, sizeof(host), port, sizeof(port),
						 NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "unknown");
	else
		snprintf(text, size, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void
refuse(evutil_socket_t fd)
{
	static const char text[] = "-ERR max number of clients reached\r\n";

	counters.rejected_connections++;
	/* a new socket has room for it */
	if (send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		counters.errors++;
	evutil_closesocket(fd);
}

static void
on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address, int length,
		  void *arg)
{
	Listener *listener = arg;
	struct bufferevent *connection;
	char text[64];
	int on = 1;

	(void) socket;
	if (client_count() >= settings.max_clients)
	{
		refuse(fd);
		return;
	}
	/* fails for a socket that is not TCP, which needs neither */
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	connection = listener->address->tls ? tls_accept(base, fd)
										: bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (connection == NULL)
	{
		evutil_closesocket(fd);
		return;
	}
	write_address(address, length, text, sizeof(text));
	client_create(connection, text, listener->address);
}

static void
add_listener(struct evconnlistener *socket, const ListenAddress *address)
{
	Listener *listener = mem_zero(sizeof(Listener));

	listener->socket = socket;
	listener->address = address;
	listener->next = listeners;
	listeners = listener;
	evconnlistener_set_cb(socket, on_accept, listener);
	evconnlistener_set_error_cb(socket, on_error);
}

static void
log_listening(struct evconnlistener *socket, const ListenAddress *address)
{
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);
	char text[64] = "unknown";

	if (getsockname(evconnlistener_get_fd(socket), (struct sockaddr *) &bound, &length) == 0)
		write_address((struct sockaddr *) &bound, (int) length, text, sizeof(text));
	log_line(LOG_INFO, "listening on %s%s%s", text,
			 address->dialect == DIALECT_TUTORIAL ? ", dialect tutorial" : "",
			 address->tls ? ", with TLS" : "");
}

static bool
listen_on(const ListenAddress *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found;
	bool good = true;
	int error;

	error = getaddrinfo(strcmp(address->host, "*") == 0 ? NULL : address->host, address->port,
						&hints, &found);
	if (error != 0)
	{
		log_line(LOG_ERROR, "could not find address \"%s\": %s", address->host,
				 gai_strerror(error));
		return false;
	}
	for (struct addrinfo *one = found; good && one != NULL; one = one->ai_next)
	{
		struct evconnlistener *socket;
		/* "*" has an address of either kind, each with a socket */
		unsigned only_ipv6 = one->ai_family == AF_INET6 ? LEV_OPT_BIND_IPV6ONLY : 0;

		socket = evconnlistener_new_bind(base, NULL, NULL,
										 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
											 LEV_OPT_REUSEABLE | only_ipv6,
										 BACKLOG, one->ai_addr, (int) one->ai_addrlen);
		if (socket == NULL)
		{
			log_line(LOG_ERROR, "could not listen on %s:%s: %s", address->host, address->port,
					 strerror(errno));
			good = false;
			break;
		}
		add_listener(socket, address);
		log_listening(socket, address);
	}
	freeaddrinfo(found);
	return good;
}

/* The nth socket of systemd belongs to the nth address of the settings, or to the last. */
static bool
listen_on_inherited(int sockets)
{
	for (int i = 0; i < sockets; i++)
	{
		const ListenAddress *address =
			&settings.listen[i < settings.listen_count ? i : settings.listen_count - 1];
		struct evconnlistener *socket;

		evutil_make_socket_nonblocking(SYSTEMD_FIRST_SOCKET + i);
		socket = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE, 0,
									SYSTEMD_FIRST_SOCKET + i);
		if (socket == NULL)
		{
			log_line(LOG_ERROR, "could not use a socket of systemd");
			return false;
		}
		add_listener(socket, address);
		log_listening(socket, address);
	}
	return true;
}

bool
listeners_start(struct event_base *event_base)
{
	int sockets = systemd_sockets();

	base = event_base;
	pause_timer = evtimer_new(base, resume, NULL);
	if (sockets > 0)
		return listen_on_inherited(sockets);
	for (int i = 0; i < settings.listen_count; i++)
		if (!listen_on(&settings.listen[i]))
			return false;
	return true;
}

void
listeners_stop(void)
{
	while (listeners != NULL)
	{
		Listener *next = listeners->next;

		evconnlistener_free(listeners->socket);
		free(listeners);
		listeners = next;
	}
	if (pause_timer != NULL)
		event_free(pause_timer);
	pause_timer = NULL;
}
