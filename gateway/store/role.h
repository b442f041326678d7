/*
 * role.h
 *		A login of PostgreSQL, with the connections of all clients that use it.
 *
 * A role without a password of its own is the configured one, which clients use without AUTH.
 */
#ifndef STORE_ROLE_H
#define STORE_ROLE_H

#include <stdbool.h>

#include <event2/event.h>

#include "store/link.h"

typedef struct StoreRole StoreRole;

/* Called once, before any other.  resolver: an evdns_base. */
struct evdns_base;
extern void store_setup(struct event_base *base, struct evdns_base *resolver);
extern struct event_base *store_base(void);

/*
 * Runs the loop until the default role has connected, or could not: what clients ask first is
 * known then.
 */
extern void store_connect_first(void);
/* Ends all connections, at the end of the program. */
extern void store_close(void);

/* The role of settings.database; lives as long as the program. */
extern StoreRole *store_role_default(void);
extern StoreRole *store_role_ref(StoreRole *role);
/* A role that nobody uses closes its connections after settings.role_idle_time. */
extern void store_role_unref(StoreRole *role);
/* The name of the user, as PostgreSQL knows it. */
extern const char *store_role_name(const StoreRole *role);
/* NULL for the role of the connection string. */
extern const char *store_role_user(const StoreRole *role);
extern const char *store_role_password(const StoreRole *role);
/* What is known about the store, by this role or else by the default role; NULL: nothing yet. */
extern const StoreFacts *store_role_facts(const StoreRole *role);
/* The number of partitions, 32 until it is known. */
extern int store_role_partitions(const StoreRole *role);

/*
 * Logs in: asks PostgreSQL whether the password is right.  done() gets a role with a reference
 * for the caller, or NULL and the error; with refused, PostgreSQL has said no.
 */
typedef void (*StoreLoginDone)(void *arg, StoreRole *role, bool refused, const StoreError *error);
extern void store_login(const char *user, const char *password, StoreLoginDone done, void *arg);

/* Has any role a reader whose last connection was not lost? */
extern bool store_is_reachable(void);

/* Sends to a reader.  Requests with the same affinity (the id of a client) stay in order. */
extern StoreLink *store_reader(StoreRole *role, uint64_t affinity);

/* A place for the follower of the role; destroy is called when the role ends. */
extern void **store_role_follower(StoreRole *role);
extern void store_role_set_follower_end(void (*end)(void *follower));

#endif /* STORE_ROLE_H */
