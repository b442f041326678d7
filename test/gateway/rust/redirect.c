/*
 * redirect.c
 *		Loaded before a program (LD_PRELOAD): connections to port 9090 go to port $REDIRECT.
 *
 * The examples of sierradb-client have the port in their source.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int
connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
	const char *port = getenv("REDIRECT");
	struct sockaddr_in other;

	if (port == NULL || address->sa_family != AF_INET || length < sizeof(other))
		return next(fd, address, length);
	other = *(const struct sockaddr_in *) address;
	if (ntohs(other.sin_port) == 9090)
		other.sin_port = htons((unsigned short) atoi(port));
	return next(fd, (const struct sockaddr *) &other, sizeof(other));
}
