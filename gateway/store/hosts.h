/*
 * hosts.h
 *		The hosts of the connection string, with their addresses.
 */
#ifndef STORE_HOSTS_H
#define STORE_HOSTS_H

struct event_base;
struct evdns_base;

typedef struct HostLookup HostLookup;

/* Lists for libpq, with commas; all empty if libpq shall take its own default. */
typedef struct HostList
{
	const char *names;
	const char *addresses;
	const char *ports;
} HostList;

typedef void (*HostLookupDone)(void *arg, const HostList *hosts, const char *error);

/* done() is called later, never before this returns.  The first host is the attempt-th. */
extern HostLookup *host_lookup_start(struct event_base *base, struct evdns_base *resolver,
									 unsigned attempt, HostLookupDone done, void *arg);
extern void host_lookup_cancel(HostLookup *lookup);

#endif /* STORE_HOSTS_H */
