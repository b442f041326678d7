/*
 * link_internal.h
 *		What the parts of a link know of each other: link.c has the queues and the connection's
 *		loss and return, link_session.c speaks with PostgreSQL.
 */
#ifndef STORE_LINK_INTERNAL_H
#define STORE_LINK_INTERNAL_H

#include "store/connect.h"
#include "store/link.h"

/* Statements that one connection can have prepared. */
#define MAX_PREPARED 32

typedef enum LinkState
{
	LINK_RESTING,	 /* no connection, and nothing that needs one */
	LINK_CONNECTING, /* libpq is at work, or the questions about the store are out */
	LINK_READY,
	LINK_PAUSING /* lost; connects when pause_timer says so */
} LinkState;

typedef struct RequestQueue
{
	StoreRequest *first;
	StoreRequest *last;
} RequestQueue;

struct StoreLink
{
	struct StoreRole *role;
	char name[64];
	LinkState state;
	PGconn *connection;
	StoreConnect *connecting;
	struct event *socket;
	bool waits_to_write;
	bool is_reading;
	unsigned attempts;
	/* milliseconds until the next attempt */
	int64_t pause;
	struct event *pause_timer;
	struct event *deadline_timer;
	/* when deadline_timer, if it is pending, ends: a time of clock_usecs() */
	int64_t next_deadline;
	/* clock_usecs() when the connection was lost, 0 while all is well */
	int64_t down_since;
	char last_sqlstate[6];
	char last_message[400];
	/* sent and not answered; not sent */
	RequestQueue sent;
	RequestQueue waiting;
	int load;
	const StoreStatement *prepared[MAX_PREPARED];
	int prepared_count;
	/* answers that the setup of the session still waits for */
	int setup_answers;
	/* the store or the extension has changed: a new session begins when all is answered */
	bool is_stale;
	bool has_facts;
	StoreFacts facts;
	/* of the extension, quoted, with a dot */
	char *schema;
};

/* link.c */
extern void link_lose(StoreLink *link, const char *sqlstate, const char *message);
extern void link_is_ready(StoreLink *link);
extern void link_send_waiting(StoreLink *link);
/* Begins a new session, if the one that is there is stale and has answered everything. */
extern void link_renew(StoreLink *link);
/* The request must not be in a queue any more. */
extern void link_end_request(StoreLink *link, StoreRequest *request, const StoreError *error);

/* link_session.c */
extern void link_setup_session(StoreLink *link);
/* False if libpq could not. */
extern bool link_send_request(StoreLink *link, StoreRequest *request);

#endif /* STORE_LINK_INTERNAL_H */
