/*
 * connect.h
 *		Connects to PostgreSQL without waiting.
 *
 * Names of hosts are looked up by libevent (DNS and /etc/hosts), because libpq would wait for
 * the answer.  libpq itself still waits for: reading its files (certificates, password file,
 * service file), a name of a host in a service file, and Kerberos, which is off unless the
 * connection string asks for it.
 */
#ifndef STORE_CONNECT_H
#define STORE_CONNECT_H

#include <libpq-fe.h>

#include "store/error.h"

struct event_base;
struct evdns_base;

typedef struct StoreConnect StoreConnect;

/*
 * connection is the caller's, or NULL, and then there is an error.  Its failure is STORE_DOWN, with
 * the SQLSTATE if the server itself has refused.
 */
typedef void (*ConnectDone)(void *arg, PGconn *connection, const StoreError *error);

extern void connect_setup(struct event_base *base, struct evdns_base *resolver);
/*
 * user and password NULL: those of the connection string.  Of several hosts, attempt says with
 * which to begin: one that does not answer does not stay the first.
 */
extern StoreConnect *connect_start(const char *user, const char *password, const char *name,
								   unsigned attempt, ConnectDone done, void *arg);
/* done() is not called. */
extern void connect_cancel(StoreConnect *connect);
/* The name of the user when the connection string gives it, or libpq's default. */
extern char *connect_default_user(void);

#endif /* STORE_CONNECT_H */
