/*
 * client.h
 *		A connection of a client: its requests in order, its replies in order.
 *
 * A request becomes a Call.  Calls start in their order.  Consecutive calls of one kind run
 * together; a call of another kind starts when all before it have been answered, so a client
 * reads what it wrote.  A call may end at any later time; replies leave in the order of the
 * requests.
 *
 * A client that is gone stays in memory until its calls have ended, so a call can always
 * write its reply; nobody gets it.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/settings.h"
#include "frame/reply.h"
#include "frame/request.h"
#include "store/role.h"

typedef struct Client Client;
typedef struct Call Call;

typedef enum CallKind
{
	CALL_LOCAL, /* answered from memory, or asks the store for this connection: runs alone */
	CALL_APPEND,
	CALL_READ
} CallKind;

/* A command, as far as its order with others matters. */
typedef struct CallType
{
	const char *name;
	CallKind kind;
	/* Ends the call, now or later. */
	void (*run)(Call *call);
} CallType;

struct Call
{
	Client *client;
	const CallType *type;
	/* the words, the name of the command first; kept until the call ends */
	Request *request;
	/* the reply, if calls before this one have not been answered */
	struct evbuffer *early;
	bool is_started;
	bool is_ended;
	/* microseconds of clock_usecs(); 0 while it waits for others */
	int64_t arrived;
	/* for the log: the code of an error, or "" */
	char outcome[16];
	Call *next;
};

/* Where subscriptions hook in.  All of these may be NULL. */
typedef struct ClientHooks
{
	/* Output that was above CLIENT_HIGH_WATER is below CLIENT_LOW_WATER again. */
	void (*drained)(Client *client);
	/* No request is unanswered, none has begun to arrive. */
	void (*idle)(Client *client);
	/* The connection is gone, or RESET: client->subscriber must end, and is NULL afterwards. */
	void (*ended)(Client *client);
} ClientHooks;

/* Pushes should pause while more than this waits to be sent. */
#define CLIENT_HIGH_WATER (256 * 1024)
#define CLIENT_LOW_WATER (64 * 1024)

struct Client
{
	uint64_t id;
	/* NULL when the connection is gone */
	struct bufferevent *connection;
	char address[64];
	const ListenAddress *listener;
	int64_t connected_at;
	int64_t last_request_at;

	/* What commands change: */
	int protocol;
	Dialect dialect;
	/* NULL until AUTH, where that is required */
	StoreRole *role;
	char *name;
	char *library;
	char *library_version;
	const char *last_command;
	/* of store_append() */
	int lane;

	/* Of subscriptions, see ClientHooks. */
	void *subscriber;

	/* The rest belongs to client.c. */
	RequestParser parser;
	Call *first_call;
	Call *last_call;
	/* the first call that has not started */
	Call *waiting_call;
	CallKind running_kind;
	int running;
	int calls;
	size_t call_bytes;
	int references;
	bool is_pumping;
	bool pump_again;
	/* the client sends nothing more, or shall not be heard any more */
	bool input_ended;
	/* ends when all is answered */
	bool is_closing;
	/* replies wait behind output_limit */
	bool is_stalled;
	/* the last reply is out; what still comes is thrown away */
	bool is_lingering;
	bool was_above_high_water;
	/* is in the list of output.c */
	bool has_new_output;
	Client *next_output;
	struct event *linger_timer;
	Client *previous;
	Client *next;
};

extern Client *client_first(void);
extern int client_count(void);

/* The loop of the program. */
extern struct event_base *client_base(void);

/* Called once: how a request finds its command, and who wants to know of clients. */
typedef const CallType *(*ClientFind)(Client *client, Request *request);
extern void client_setup(struct event_base *base, ClientFind find);
extern void client_set_hooks(const ClientHooks *hooks);

/* Takes over a connected bufferevent. */
extern Client *client_create(struct bufferevent *connection, const char *address,
							 const ListenAddress *listener);
/* Closes when all requests before are answered and sent; nothing more is read. */
extern void client_close(Client *client);
/* The same for a call that is the last of its client: what has arrived behind it is forgotten. */
extern void client_close_behind(Call *call);
/* Closes at once.  The reason is logged. */
extern void client_drop(Client *client, const char *reason);
/* Stops to hear the client, as at the end of the program: what has arrived whole is answered. */
extern void client_stop_input(Client *client);
/* Logs in: the client holds a reference to the role. */
extern void client_set_role(Client *client, StoreRole *role);
/* For later calls of asynchronous work outside of calls. */
extern void client_hold(Client *client);
extern void client_release(Client *client);

/*
 * Begins the reply of a call; reply must be complete and given to call_end() before control
 * returns to the loop.
 */
extern void call_begin(Call *call, Reply *reply);
/* The call, and possibly its client, do not exist afterwards. */
extern void call_end(Call *call, Reply *reply);
/* These do both. */
extern void call_error(Call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void call_ok(Call *call);

/* Writes a push between replies, at once. */
extern void client_push_begin(Client *client, Reply *reply);
extern void client_push_end(Client *client, Reply *reply);
/* Bytes that wait to be sent. */
extern size_t client_output(const Client *client);
/* Pushes wait: drained() comes when there is less output. */
extern void client_watch_output(Client *client);
/* As when the connection ends: nothing is subscribed to any more. */
extern void client_end_subscriptions(Client *client);
/* Is nothing unanswered or arriving?  While it is not, redis-rs may take a push for a reply. */
extern bool client_is_idle(const Client *client);

#endif /* CLIENT_CLIENT_H */
